#include "prompt/outline.h"

#include <functional>
#include <iterator>
#include <utility>

#include "prompt/conversation.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr std::string_view kSeparator("\0", 1);

uint64_t HashOf(std::string_view text) { return std::hash<std::string_view>{}(text); }

void AddName(const json::object& object, PromptPart::Piece& piece) {
  const json::value* name = object.if_contains("name");
  if (name != nullptr && name->is_string()) piece.spellings.push_back(json::serialize(*name));
}

}  // namespace

void OutlineWriter::AddTool(const json::object& tool) {
  const std::string whole = json::serialize(tool);
  tools_key_ += whole;
  PromptPart::Piece piece{{whole}, true};
  const json::value* function = tool.if_contains("function");
  const json::object* inner = function != nullptr ? function->if_object() : nullptr;
  if (inner != nullptr) piece.spellings.push_back(json::serialize(*inner));
  AddName(inner != nullptr ? *inner : tool, piece);
  const auto index = static_cast<uint32_t>(tools_.size());
  tools_.push_back({{PartName::Kind::kTool, index}, {std::move(piece)}});
}

void OutlineWriter::Begin(PartName::Kind kind, uint32_t index, std::string_view role) {
  part_ = {{kind, index}, {}, RoleNamed(role)};
  part_key_ = role;
  ends_in_text_ = false;
}

void OutlineWriter::BeginSystem() { Begin(PartName::Kind::kSystem, 0, "system"); }

void OutlineWriter::BeginMessage(std::string_view role) {
  Begin(PartName::Kind::kMessage, static_cast<uint32_t>(outline_.fingerprint.messages.size()),
        role);
}

void OutlineWriter::AddText(std::string_view text) {
  part_.pieces.push_back({{std::string(text)}});
  part_key_ += std::exchange(ends_in_text_, true) ? kBlockSeparator : kSeparator;
  part_key_ += text;
}

void OutlineWriter::AddCall(std::string_view id, const json::object& function) {
  PromptPart::Piece piece{{json::serialize(function)}, true};
  AddField("call", id);
  part_key_ += piece.spellings.front();
  AddName(function, piece);
  part_.pieces.push_back(std::move(piece));
}

void OutlineWriter::AddResult(std::string_view id) {
  part_.role = PartRole::kTool;
  AddField("result", id);
}

void OutlineWriter::AddField(std::string_view name, std::string_view value) {
  for (const std::string_view text : {name, value}) {
    part_key_ += kSeparator;
    part_key_ += text;
  }
  ends_in_text_ = false;
}

uint64_t OutlineWriter::End() {
  outline_.parts.push_back(std::exchange(part_, {}));
  return HashOf(part_key_);
}

void OutlineWriter::EndSystem() { outline_.fingerprint.system = End(); }

void OutlineWriter::EndMessage() { outline_.fingerprint.messages.push_back(End()); }

PromptOutline OutlineWriter::Take() {
  if (!tools_.empty()) outline_.fingerprint.tools = HashOf(tools_key_);
  auto& parts = outline_.parts;
  parts.insert(parts.begin(), std::move_iterator(tools_.begin()), std::move_iterator(tools_.end()));
  tools_.clear();
  return std::exchange(outline_, {});
}

}  // namespace reprise
