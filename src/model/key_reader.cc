#include "model/key_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>
#include <variant>

namespace reprise {

std::string KeyReader::Key(std::string_view name) const {
  return fmt::format("{}.{}", prefix_, name);
}

void KeyReader::Fault(ErrorCode code, std::string message) {
  if (status_) status_ = Fail(code, std::move(message));
}

template <typename T>
std::optional<T> KeyReader::Keep(Result<std::optional<T>> value) {
  if (value) return *value;
  if (status_) status_ = std::unexpected(value.error());
  return std::nullopt;
}

int KeyReader::Within(const std::string& key, int64_t value, int64_t lowest, int64_t highest) {
  if (value >= lowest && value <= highest) return static_cast<int>(value);
  Fault(ErrorCode::kCorrupt,
        fmt::format("the key '{}' is {}, outside {} to {}", key, value, lowest, highest));
  return static_cast<int>(lowest);
}

int KeyReader::Require(std::string_view name, int64_t lowest, int64_t highest) {
  const std::string key = Key(name);
  const std::optional<int64_t> value = Keep(file_.Integer(key));
  if (!value && status_) Fault(ErrorCode::kCorrupt, fmt::format("the key '{}' is missing", key));
  return Within(key, value.value_or(lowest), lowest, highest);
}

int KeyReader::Optional(std::string_view name, int64_t otherwise, int64_t lowest, int64_t highest) {
  const std::string key = Key(name);
  return Within(key, Keep(file_.Integer(key)).value_or(otherwise), lowest, highest);
}

std::vector<int> KeyReader::Integers(std::string_view name, size_t count, int64_t highest) {
  const std::string key = Key(name);
  const GgufFile::Value* value = file_.Find(key);
  const auto* many = value == nullptr ? nullptr : std::get_if<std::vector<int64_t>>(value);
  if (many == nullptr) return std::vector<int>(count, Require(name, 1, highest));
  if (many->size() != count) {
    Fault(ErrorCode::kCorrupt,
          fmt::format("the key '{}' holds {} numbers for {} layers", key, many->size(), count));
    return std::vector<int>(count, 0);
  }
  std::vector<int> integers;
  for (const int64_t one : *many) integers.push_back(Within(key, one, 0, highest));
  return integers;
}

std::optional<double> KeyReader::OptionalPositive(std::string_view name) {
  const std::string key = Key(name);
  const std::optional<double> value = Keep(file_.Number(key));
  if (value && !(std::isfinite(*value) && *value > 0)) {
    Fault(ErrorCode::kCorrupt,
          fmt::format("the key '{}' is {} instead of a number above zero", key, *value));
  }
  return value;
}

std::string_view KeyReader::OptionalString(std::string_view name) {
  return Keep(file_.String(Key(name))).value_or("");
}

bool KeyReader::Boolean(std::string_view name, bool otherwise) {
  return Keep(file_.Boolean(Key(name))).value_or(otherwise);
}

}  // namespace reprise
