#pragma once

// Reads `<architecture>.*` keys and keeps the first error, so that a reader of many keys asks once
// at the end. Every getter returns a harmless value after an error. One thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/gguf.h"

namespace reprise {

class KeyReader {
 public:
  KeyReader(const GgufFile& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  const GgufFile& file() const { return file_; }
  const Status& status() const { return status_; }

  bool Has(std::string_view name) const { return file_.Find(Key(name)) != nullptr; }
  // An integer in lowest..highest.
  int Require(std::string_view name, int64_t lowest, int64_t highest);
  int Optional(std::string_view name, int64_t otherwise, int64_t lowest, int64_t highest);
  // One integer in 0..highest for each of `count` layers: the file holds so many, or one above zero
  // for all of them.
  std::vector<int> Integers(std::string_view name, size_t count, int64_t highest);
  // A finite number above zero.
  std::optional<double> OptionalPositive(std::string_view name);
  float Positive(std::string_view name, double otherwise) {
    return static_cast<float>(OptionalPositive(name).value_or(otherwise));
  }
  std::string_view OptionalString(std::string_view name);
  bool Boolean(std::string_view name, bool otherwise);

  std::string Key(std::string_view name) const;
  void Fault(ErrorCode code, std::string message);

 private:
  template <typename T>
  std::optional<T> Keep(Result<std::optional<T>> value);
  int Within(const std::string& key, int64_t value, int64_t lowest, int64_t highest);

  const GgufFile& file_;
  std::string_view prefix_;
  Status status_;
};

}  // namespace reprise
