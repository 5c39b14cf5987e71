#pragma once

// A text in a JSON object. Pure; any thread.

#include <boost/json.hpp>
#include <string_view>

namespace reprise {

// Empty where there is none, or something else. A view into the object.
inline std::string_view TextAt(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : "";
}

}  // namespace reprise
