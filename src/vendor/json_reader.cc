#include "vendor/json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/limits.h"
#include "base/trace.h"

namespace reprise {
namespace json = boost::json;

namespace {

// A number beyond all bounds is read as infinity, which no JSON can say again.
void BoundNumbers(json::value& value) {
  if (double* number = value.if_double()) {
    constexpr double kMost = std::numeric_limits<double>::max();
    *number = std::clamp(*number, -kMost, kMost);
  } else if (json::array* list = value.if_array()) {
    for (json::value& element : *list) BoundNumbers(element);
  } else if (json::object* object = value.if_object()) {
    for (auto& [key, element] : *object) BoundNumbers(element);
  }
}

}  // namespace

Result<json::value> ParseJson(std::string_view body) {
  TraceScope trace("parse JSON");
  json::parse_options options;
  options.max_depth = limits::kMaxJsonDepth;
  json::parser parser({}, options);
  boost::system::error_code failure;
  const size_t read = parser.write_some(body.data(), body.size(), failure);
  if (!failure) {
    const size_t rest = body.find_first_not_of(" \t\r\n", read);
    if (rest != std::string_view::npos) failure = json::error::extra_data;
  }
  if (failure) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("The body is not valid JSON: {} at byte {}.", failure.message(), read));
  }
  json::value value = parser.release();
  BoundNumbers(value);
  return value;
}

Result<json::object> ParseJsonObject(std::string_view body) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (body.starts_with(kByteOrderMark)) body.remove_prefix(kByteOrderMark.size());
  Result<json::value> value = ParseJson(body);
  if (!value) return std::unexpected(std::move(value).error());
  if (!value->is_object()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("The body must be a JSON object, not {}.", KindName(*value)));
  }
  return std::move(value->as_object());
}

std::string_view KindName(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "an integer";
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "something else";
}

std::optional<int64_t> ToInteger(const json::value& value) {
  if (const int64_t* number = value.if_int64()) return *number;
  if (const double* number = value.if_double()) {
    // 2^53: beyond it a double no longer says which integer was meant.
    if (std::abs(*number) <= 9007199254740992.0 && std::trunc(*number) == *number) {
      return static_cast<int64_t>(*number);
    }
  }
  return std::nullopt;
}

std::string FieldReader::PathOf(std::string_view name) const {
  if (path_.empty()) return std::string(name);
  if (name.empty()) return path_;
  return fmt::format("{}.{}", path_, name);
}

void FieldReader::Refuse(ErrorCode code, std::string_view name, std::string message) {
  if (status_) status_ = Fail(code, std::move(message), PathOf(name));
}

void FieldReader::Adopt(const Status& other) {
  if (status_ && !other) status_ = other;
}

void FieldReader::RefuseType(std::string_view name, std::string_view wanted,
                             const json::value& got) {
  Refuse(ErrorCode::kInvalidArgument, name,
         fmt::format("'{}' must be {}, not {}.", PathOf(name), wanted, KindName(got)));
}

const json::value* FieldReader::Find(std::string_view name) const {
  const json::value* value = object_.if_contains(name);
  return value != nullptr && !value->is_null() ? value : nullptr;
}

std::optional<double> FieldReader::Number(std::string_view name, double min, double max) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    RefuseType(name, "a number", *value);
    return std::nullopt;
  }
  const double number = value->to_number<double>();
  if (!(number >= min && number <= max)) {
    Refuse(ErrorCode::kInvalidArgument, name,
           fmt::format("'{}' must be between {} and {}, not {}.", PathOf(name), min, max, number));
    return std::nullopt;
  }
  return number;
}

std::optional<int64_t> FieldReader::Integer(std::string_view name, int64_t min, int64_t max) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    RefuseType(name, "an integer", *value);
    return std::nullopt;
  }
  const std::optional<int64_t> number = ToInteger(*value);
  if (!number || *number < min || *number > max) {
    Refuse(ErrorCode::kInvalidArgument, name,
           fmt::format("'{}' must be an integer between {} and {}, not {}.", PathOf(name), min, max,
                       json::serialize(*value)));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> FieldReader::Bool(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) {
    RefuseType(name, "a boolean", *value);
    return std::nullopt;
  }
  return value->get_bool();
}

std::optional<std::string_view> FieldReader::String(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    RefuseType(name, "a string", *value);
    return std::nullopt;
  }
  return std::string_view(value->get_string());
}

const json::array* FieldReader::Array(std::string_view name, size_t max_size) {
  const json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    RefuseType(name, "an array", *value);
    return nullptr;
  }
  if (value->get_array().size() > max_size) {
    Refuse(ErrorCode::kInvalidArgument, name,
           fmt::format("'{}' may hold at most {} elements, not {}.", PathOf(name), max_size,
                       value->get_array().size()));
    return nullptr;
  }
  return &value->get_array();
}

const json::object* FieldReader::Object(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) {
    RefuseType(name, "an object", *value);
    return nullptr;
  }
  return &value->get_object();
}

}  // namespace reprise
