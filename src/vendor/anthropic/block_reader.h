#pragma once

// Content in Anthropic's form: a string or a list of blocks, with faults in the vendor's words
// ("messages.3.content.0.text: Input should be a string"). Used while one call is read; not
// thread-safe.

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "vendor/json_reader.h"
#include "vendor/marker_rules.h"

namespace reprise {

class BlockReader {
 public:
  // Faults stay in `fields`, whose object is the request's body, and in `rules`.
  BlockReader(FieldReader& fields, MarkerRules& rules) : fields_(fields), rules_(rules) {}

  // Hands each block to `take(block, path)`, a string as one text block.
  template <typename Take>
  void ForEachBlock(const boost::json::value& content, const std::string& path, Take take);
  // The text of a block that must be of type text; nullopt with a fault otherwise.
  std::optional<std::string_view> TextOf(const boost::json::object& block, const std::string& path);

  void Refuse(const std::string& path, std::string_view what,
              ErrorCode code = ErrorCode::kInvalidArgument);
  bool ok() const { return fields_.ok() && rules_.status().has_value(); }
  FieldReader& fields() { return fields_; }
  MarkerRules& rules() { return rules_; }

 private:
  FieldReader& fields_;
  MarkerRules& rules_;
};

// block.type; empty when absent or no string.
std::string_view TypeOf(const boost::json::object& block);

template <typename Take>
void BlockReader::ForEachBlock(const boost::json::value& content, const std::string& path,
                               Take take) {
  if (content.is_string()) {
    take(boost::json::object{{"type", "text"}, {"text", content.get_string()}}, path);
    return;
  }
  const boost::json::array* blocks = content.if_array();
  if (blocks == nullptr) return Refuse(path, "Input should be a string or a list of blocks");
  for (size_t i = 0; i < blocks->size() && ok(); ++i) {
    const std::string block_path = fmt::format("{}.{}", path, i);
    if (const boost::json::object* block = (*blocks)[i].if_object()) {
      take(*block, block_path);
    } else {
      Refuse(block_path, "Input should be an object");
    }
  }
}

}  // namespace reprise
