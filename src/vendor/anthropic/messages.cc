#include "vendor/anthropic/messages.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "vendor/anthropic/billing_line.h"

namespace reprise {
namespace json = boost::json;
namespace {

using Place = CacheMark::Place;

constexpr std::string_view kEmptyText = "cache_control cannot be set for empty text blocks";

bool HoldsBillingLine(const json::object& block) {
  const json::value* text = block.if_contains("text");
  return TypeOf(block) == "text" && text != nullptr && text->is_string() &&
         IsBillingLine(std::string_view(text->get_string()));
}

}  // namespace

void MessagesReader::ReadText(const json::object& block, const std::string& path) {
  const std::optional<std::string_view> text = blocks_.TextOf(block, path);
  if (!text) return;
  MarkerRules& rules = blocks_.rules();
  if (text->empty()) {
    if (ReadCacheControl(block, path, rules)) rules.Breach(path + ".text", kEmptyText);
    return;
  }
  builder_.AppendText(*text);
  outline_.AddText(*text);
  marks_.AddBlock(block, path, {Place::kText, builder_.index(), builder_.text_bytes(), {}});
}

void MessagesReader::ReadThinking(const json::object& block, const std::string& path) {
  MarkerRules& rules = blocks_.rules();
  if (ReadCacheControl(block, path, rules)) {
    rules.Breach(path, fmt::format("cache_control cannot be set for {} blocks", TypeOf(block)));
  }
  const json::value* text = block.if_contains("thinking");
  if (builder_.role() == "assistant" && text != nullptr && text->is_string()) {
    builder_.AppendThinking(text->get_string());
  }
}

void MessagesReader::ReadDocument(const json::object& block, const std::string& path) {
  const json::value* value = block.if_contains("source");
  const json::object* source = value != nullptr ? value->if_object() : nullptr;
  const json::value* data = source != nullptr ? source->if_contains("data") : nullptr;
  if (source == nullptr || TypeOf(*source) != "text" || data == nullptr || !data->is_string()) {
    return blocks_.Refuse(path + ".source", "only documents whose source is a text are supported",
                          ErrorCode::kUnsupported);
  }
  json::object text = block;
  text["type"] = "text";
  const json::value* title = block.if_contains("title");
  std::string shown(title != nullptr && title->is_string()
                        ? fmt::format("{}\n", std::string_view(title->get_string()))
                        : "");
  shown += std::string_view(data->get_string());
  text["text"] = shown;
  ReadText(text, path);
}

void MessagesReader::ReadToolUse(const json::object& block, const std::string& path) {
  FieldReader fields(block, path);
  const std::string id(fields.String("id").value_or(""));
  const auto name = fields.String("name");
  const json::object* input = fields.Object("input");
  if (fields.ok() && !name) blocks_.Refuse(path + ".name", "Field required");
  blocks_.fields().Adopt(fields.status());
  if (!blocks_.ok()) return;
  call_names_[id] = std::string(*name);
  const json::object function = {{"name", *name},
                                 {"arguments", input != nullptr ? *input : json::object()}};
  outline_.AddCall(id, function);
  builder_.AppendCall({{"id", id}, {"type", "function"}, {"function", function}});
  marks_.AddBlock(block, path, {Place::kToolCall, builder_.index(), builder_.calls() - 1, {}});
}

MessagesReader::ResultText MessagesReader::ReadResultText(const json::value& content,
                                                          const std::string& path) {
  ResultText result;
  MarkerRules& rules = blocks_.rules();
  blocks_.ForEachBlock(content, path, [&](const json::object& part, const std::string& part_path) {
    if (result.ttl) {
      rules.Breach(result.ttl_path, "only the last block of a tool_result can carry it");
      result.ttl.reset();
    }
    const auto text = blocks_.TextOf(part, part_path);
    if (!text) return;
    if (!text->empty()) {
      AppendPiece(*text, result.text);
      outline_.AddText(*text);
    }
    result.ttl = ReadCacheControl(part, part_path, rules);
    result.ttl_path = part_path + ".cache_control";
    if (result.ttl && text->empty()) {
      rules.Breach(part_path + ".text", kEmptyText);
      result.ttl.reset();
    }
  });
  return result;
}

void MessagesReader::ReadToolResult(const json::object& block, const std::string& path) {
  const std::string role = builder_.role();
  builder_.EndMessage();  // the user's text before it
  FieldReader fields(block, path);
  const std::string id(fields.String("tool_use_id").value_or(""));
  outline_.AddResult(id);
  blocks_.fields().Adopt(fields.status());
  ResultText result;
  if (const json::value* content = fields.Find("content")) {
    result = ReadResultText(*content, path + ".content");
  }
  if (!blocks_.ok()) return;
  const CacheMark place{Place::kText, builder_.index(), result.text.size(), {}};
  marks_.AddBlock(block, path, place);
  if (result.ttl) marks_.AddUnlessMarked(place, *result.ttl, result.ttl_path);
  json::object message = {{"role", "tool"}, {"content", result.text}, {"tool_call_id", id}};
  if (const auto name = call_names_.find(id); name != call_names_.end()) {
    message["name"] = name->second;
  }
  builder_.AddToolResult(std::move(message));
  builder_.SetRole(role);
}

void MessagesReader::ReadBlock(const json::object& block, const std::string& path) {
  const std::string_view type = TypeOf(block);
  if (type == "tool_use" && builder_.role() == "assistant") return ReadToolUse(block, path);
  if (type == "tool_result" && builder_.role() == "user") return ReadToolResult(block, path);
  if (type == "thinking" || type == "redacted_thinking") return ReadThinking(block, path);
  if (type == "document") return ReadDocument(block, path);
  ReadText(block, path);
}

bool MessagesReader::ReadSystem(bool drop_billing_line) {
  const json::value* system = blocks_.fields().Find("system");
  if (system == nullptr) return false;
  builder_.SetRole("system");
  outline_.BeginSystem();
  bool first = true;
  bool dropped = false;
  blocks_.ForEachBlock(*system, "system", [&](const json::object& block, const std::string& path) {
    const bool is_first = std::exchange(first, false);
    if (!is_first || !drop_billing_line || !HoldsBillingLine(block)) return ReadText(block, path);
    dropped = true;
    if (ReadCacheControl(block, path, blocks_.rules())) {
      blocks_.rules().Breach(path, "cache_control on the billing line, which is dropped");
    }
  });
  outline_.EndSystem();
  builder_.EndMessage();
  return dropped;
}

void MessagesReader::ReadMessage(const json::value& value, size_t index) {
  const std::string path = fmt::format("messages.{}", index);
  const json::object* message = value.if_object();
  if (message == nullptr) return blocks_.Refuse(path, "Input should be an object");
  const json::value* role_value = message->if_contains("role");
  const std::string_view role = role_value != nullptr && role_value->is_string()
                                    ? std::string_view(role_value->get_string())
                                    : "";
  if (role != "user" && role != "assistant" && role != "system") {
    return blocks_.Refuse(path + ".role", "Input should be 'user', 'assistant' or 'system'");
  }
  const json::value* content = message->if_contains("content");
  if (content == nullptr) return blocks_.Refuse(path + ".content", "Field required");
  builder_.SetRole(role);
  outline_.BeginMessage(role);
  blocks_.ForEachBlock(*content, path + ".content",
                       [this](const json::object& block, const std::string& block_path) {
                         ReadBlock(block, block_path);
                       });
  outline_.EndMessage();
}

void MessagesReader::ReadMessages() {
  const json::array* messages = blocks_.fields().Array("messages", limits::kMaxMessages);
  if (blocks_.fields().ok() && (messages == nullptr || messages->empty())) {
    blocks_.Refuse("messages", "at least one message is required");
  }
  const size_t before = builder_.index();
  for (size_t i = 0; blocks_.ok() && i < messages->size(); ++i) ReadMessage((*messages)[i], i);
  builder_.EndMessage();
  if (blocks_.ok() && builder_.index() == before) {
    blocks_.Refuse("messages", "at least one message must have content");
  }
}

}  // namespace reprise
