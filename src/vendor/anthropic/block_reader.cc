#include "vendor/anthropic/block_reader.h"

#include "prompt/text_at.h"

namespace reprise {
namespace json = boost::json;

std::string_view TypeOf(const json::object& block) { return TextAt(block, "type"); }

void BlockReader::Refuse(const std::string& path, std::string_view what, ErrorCode code) {
  fields_.Refuse(code, path, fmt::format("{}: {}", path, what));
}

std::optional<std::string_view> BlockReader::TextOf(const json::object& block,
                                                    const std::string& path) {
  const std::string_view type = TypeOf(block);
  if (type.empty()) {
    Refuse(path + ".type", "Field required");
    return std::nullopt;
  }
  if (type != "text") {
    Refuse(path, fmt::format("{} blocks are not supported by this model", type),
           ErrorCode::kUnsupported);
    return std::nullopt;
  }
  const json::value* text = block.if_contains("text");
  if (text == nullptr || !text->is_string()) {
    Refuse(path + ".text", "Input should be a string");
    return std::nullopt;
  }
  return std::string_view(text->get_string());
}

}  // namespace reprise
