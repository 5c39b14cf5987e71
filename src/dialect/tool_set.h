#pragma once

// The tools of one request, as far as a reply's calls are concerned. Immutable; any thread.

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise {

struct Tool {
  std::string name;
  boost::json::object parameters;  // JSON schema; empty: anything
  bool strict = false;             // its arguments must follow the schema to the letter

  // Whether the schema says that the parameter is a string and nothing else.
  bool TakesText(std::string_view parameter) const;
};

class ToolSet {
 public:
  // Of {"type": "function", "function": {"name", "parameters", "strict"}}; others are left out.
  explicit ToolSet(const boost::json::array& tools);
  explicit ToolSet(std::vector<Tool> tools) : tools_(std::move(tools)) {}

  const Tool* Find(std::string_view name) const;
  const std::vector<Tool>& tools() const { return tools_; }
  bool empty() const { return tools_.empty(); }

 private:
  std::vector<Tool> tools_;  // in the request's order
};

}  // namespace reprise
