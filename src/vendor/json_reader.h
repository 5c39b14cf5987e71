#pragma once

// Typed reading of a client's JSON. ParseJson bounds depth and refuses invalid UTF-8; FieldReader
// takes fields out of an object, and remembers the first fault with the path of the field
// ("messages[2].content"), so that a caller reads everything and asks once for the status.
// Absent and null are the same. Unknown fields are not looked at. Not thread-safe; borrows the
// value.

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace reprise {

// kInvalidArgument with the reason and the byte where reading stopped. Key order is kept; a number
// beyond all bounds is the largest.
Result<boost::json::value> ParseJson(std::string_view body);
// The same, and the value must be an object.
Result<boost::json::object> ParseJsonObject(std::string_view body);

class FieldReader {
 public:
  // `path` names the object for messages; empty at the top.
  FieldReader(const boost::json::object& object, std::string path)
      : object_(object), path_(std::move(path)) {}

  // The value, or nullptr when absent or null.
  const boost::json::value* Find(std::string_view name) const;

  // nullopt / nullptr when absent, null or faulty.
  std::optional<double> Number(std::string_view name, double min, double max);
  std::optional<int64_t> Integer(std::string_view name, int64_t min, int64_t max);
  std::optional<bool> Bool(std::string_view name);
  std::optional<std::string_view> String(std::string_view name);
  const boost::json::array* Array(std::string_view name, size_t max_size);
  const boost::json::object* Object(std::string_view name);

  // Records a fault of this object's field; the first one counts.
  void Refuse(ErrorCode code, std::string_view name, std::string message);
  void Adopt(const Status& other);  // records the fault of a nested reader

  const boost::json::object& object() const { return object_; }
  std::string PathOf(std::string_view name) const;
  const Status& status() const { return status_; }
  bool ok() const { return status_.has_value(); }

 private:
  void RefuseType(std::string_view name, std::string_view wanted, const boost::json::value& got);

  const boost::json::object& object_;
  std::string path_;
  Status status_;
};

// An integral number of any JSON spelling (5 and 5.0) that fits; nullopt otherwise.
std::optional<int64_t> ToInteger(const boost::json::value& value);
// "a string", "an array", … for messages.
std::string_view KindName(const boost::json::value& value);

}  // namespace reprise
