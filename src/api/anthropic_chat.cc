#include "api/anthropic_chat.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/billing_line.h"
#include "api/prompt.h"
#include "api/tool_text.h"
#include "base/limits.h"

namespace reprise {
namespace json = boost::json;
namespace {

using Place = CacheMark::Place;

// Builds the context and the marks, block by block.
class ChatReader {
 public:
  ChatReader(FieldReader& fields, const ServedModel& model, MarkerRules& rules)
      : fields_(fields), model_(model), tokenizer_(*model.tokenizer), rules_(rules) {}

  AnthropicChat Read();

 private:
  // A string or a list of blocks, each handed to `take` with its path.
  template <typename Take>
  void ForEachBlock(const json::value& content, const std::string& path, Take take);

  void ReadTools();
  void ReadTool(const json::value& value, size_t index);
  void ReadSystem();
  void ReadMessages();
  void ReadMessage(const json::value& value, size_t index);
  void TakeBlock(const json::object& block, const std::string& path);
  void TakeText(const json::object& block, const std::string& path);
  void TakeToolUse(const json::object& block, const std::string& path);
  void TakeToolResult(const json::object& block, const std::string& path);
  void ReadTopLevelMark();

  // The text of a block that must be of type text; nullopt with a fault otherwise.
  std::optional<std::string_view> TextOf(const json::object& block, const std::string& path);
  void Refuse(const std::string& path, std::string_view what, ErrorCode code);
  bool ok() const { return fields_.ok() && rules_.status().has_value(); }

  // -- The message being put together --
  void Append(std::string_view text);
  void Flush();  // it is complete
  // Marks the place reached, if the block asks for it; also the last place that could be marked.
  void Mark(const json::object& block, const std::string& path, CacheMark place);
  void AddMark(CacheMark place, Duration ttl, std::string path);
  size_t next_message() const { return messages_.size(); }

  FieldReader& fields_;
  const ServedModel& model_;
  const Tokenizer& tokenizer_;
  MarkerRules& rules_;

  json::array tools_;
  json::array messages_;
  std::string role_;       // of the message being put together; empty: none
  std::string text_;       // … unescaped
  json::array calls_;      // … escaped
  size_t open_marks_ = 0;  // marks_ from here on are this message's, offsets unescaped
  std::map<std::string, std::string> call_names_;  // by id, escaped

  AnatomyWriter anatomy_;

  std::vector<CacheMark> marks_;    // the first few
  std::vector<std::string> paths_;  // of the cache_control of each
  size_t marks_found_ = 0;
  std::optional<CacheMark> last_able_;  // the last block that can carry a mark
  std::optional<Duration> last_ttl_;    // … and its mark, if it has one
  bool dropped_billing_line_ = false;
};

void ChatReader::Refuse(const std::string& path, std::string_view what, ErrorCode code) {
  fields_.Refuse(code, path, fmt::format("{}: {}", path, what));
}

template <typename Take>
void ChatReader::ForEachBlock(const json::value& content, const std::string& path, Take take) {
  if (content.is_string()) {
    take(json::object{{"type", "text"}, {"text", content.get_string()}}, path);
    return;
  }
  const json::array* blocks = content.if_array();
  if (blocks == nullptr) {
    Refuse(path, "Input should be a string or a list of blocks", ErrorCode::kInvalidArgument);
    return;
  }
  for (size_t i = 0; i < blocks->size() && ok(); ++i) {
    const std::string block_path = fmt::format("{}.{}", path, i);
    if (const json::object* block = (*blocks)[i].if_object()) {
      take(*block, block_path);
    } else {
      Refuse(block_path, "Input should be an object", ErrorCode::kInvalidArgument);
    }
  }
}

std::string_view TypeOf(const json::object& block) {
  const json::value* type = block.if_contains("type");
  return type != nullptr && type->is_string() ? std::string_view(type->get_string()) : "";
}

std::optional<std::string_view> ChatReader::TextOf(const json::object& block,
                                                   const std::string& path) {
  const std::string_view type = TypeOf(block);
  if (type.empty()) {
    Refuse(path + ".type", "Field required", ErrorCode::kInvalidArgument);
    return std::nullopt;
  }
  if (type != "text") {
    Refuse(path, fmt::format("{} blocks are not supported by this model", type),
           ErrorCode::kUnsupported);
    return std::nullopt;
  }
  const json::value* text = block.if_contains("text");
  if (text == nullptr || !text->is_string()) {
    Refuse(path + ".text", "Input should be a string", ErrorCode::kInvalidArgument);
    return std::nullopt;
  }
  return std::string_view(text->get_string());
}

// -- Marks ------------------------------------------------------------------------------------

void ChatReader::AddMark(CacheMark place, Duration ttl, std::string path) {
  last_ttl_ = ttl;
  ++marks_found_;
  if (marks_.size() == kMaxMarks) return;
  place.ttl = ttl;
  marks_.push_back(place);
  paths_.push_back(std::move(path));
}

void ChatReader::Mark(const json::object& block, const std::string& path, CacheMark place) {
  last_able_ = place;
  last_ttl_.reset();
  if (const auto ttl = rules_.CacheControl(block, path)) {
    AddMark(place, *ttl, path + ".cache_control");
  }
}

void ChatReader::ReadTopLevelMark() {
  const json::value* control = fields_.Find("cache_control");
  if (control == nullptr) return;
  const json::object carrier = {{"cache_control", *control}};
  const std::optional<Duration> ttl = rules_.CacheControl(carrier, "");
  if (!ttl) return;
  if (!last_able_) {
    rules_.Breach("cache_control", "no block can carry it");
  } else if (!last_ttl_) {
    AddMark(*last_able_, *ttl, "cache_control");
  } else if (*last_ttl_ != *ttl) {
    rules_.Breach("cache_control", "the last block has a cache_control of another ttl");
  }
}

// -- Tools ------------------------------------------------------------------------------------

void ChatReader::ReadTools() {
  const json::array* tools = fields_.Array("tools", limits::kMaxMessages);
  if (tools == nullptr) return;
  for (size_t i = 0; i < tools->size() && ok(); ++i) ReadTool((*tools)[i], i);
}

void ChatReader::ReadTool(const json::value& value, size_t index) {
  const std::string path = fmt::format("tools.{}", index);
  const json::object* tool = value.if_object();
  if (tool == nullptr) {
    return Refuse(path, "Input should be an object", ErrorCode::kInvalidArgument);
  }
  const std::string_view type = TypeOf(*tool);
  if (!type.empty() && type != "custom") {
    return Refuse(path, fmt::format("tools of type '{}' are not supported by this model", type),
                  ErrorCode::kUnsupported);
  }
  const json::value* name = tool->if_contains("name");
  if (name == nullptr || !name->is_string() || name->get_string().empty()) {
    return Refuse(path + ".custom.name", "Input should be a string of at least one character",
                  ErrorCode::kInvalidArgument);
  }
  const json::value* schema = tool->if_contains("input_schema");
  if (schema == nullptr || !schema->is_object()) {
    return Refuse(path + ".custom.input_schema", "Input should be an object",
                  ErrorCode::kInvalidArgument);
  }
  const json::value* schema_type = schema->get_object().if_contains("type");
  if (schema_type == nullptr || *schema_type != "object") {
    return Refuse(path + ".custom.input_schema.type", "Input should be 'object'",
                  ErrorCode::kInvalidArgument);
  }
  json::object function = {{"name", *name}};
  const json::value* description = tool->if_contains("description");
  if (description != nullptr && description->is_string()) function["description"] = *description;
  function["parameters"] = *schema;
  const json::object shown = {{"type", "function"}, {"function", std::move(function)}};
  anatomy_.AddTool(shown);
  tools_.push_back(EscapeAll(shown, tokenizer_));
  Mark(*tool, path, {Place::kTool, index, 0, {}});
}

// -- Messages ---------------------------------------------------------------------------------

void ChatReader::Append(std::string_view text) {
  if (!text_.empty()) text_ += kBlockSeparator;
  text_ += text;
}

void ChatReader::Flush() {
  for (size_t i = open_marks_; i < marks_.size(); ++i) {
    if (marks_[i].place != Place::kText || marks_[i].index != next_message()) continue;
    marks_[i].offset = EscapedOffset(text_, marks_[i].offset, tokenizer_);
  }
  open_marks_ = marks_.size();
  const std::string content = tokenizer_.EscapeUserText(text_);
  if (last_able_ && last_able_->place == Place::kText && last_able_->index == next_message()) {
    last_able_->offset = content.size();  // no text came behind it
  }
  if (!role_.empty() && (!text_.empty() || !calls_.empty())) {
    json::object message = {{"role", role_}, {"content", content}};
    if (!calls_.empty()) message["tool_calls"] = std::move(calls_);
    messages_.push_back(std::move(message));
  }
  role_.clear();
  text_.clear();
  calls_ = json::array();
}

void ChatReader::TakeText(const json::object& block, const std::string& path) {
  const std::optional<std::string_view> text = TextOf(block, path);
  if (!text) return;
  if (text->empty()) {
    if (rules_.CacheControl(block, path)) {
      rules_.Breach(path + ".text", "cache_control cannot be set for empty text blocks");
    }
    return;
  }
  Append(*text);
  anatomy_.AddText(*text);
  Mark(block, path, {Place::kText, next_message(), text_.size(), {}});
}

void ChatReader::TakeToolUse(const json::object& block, const std::string& path) {
  FieldReader fields(block, path);
  const auto id = fields.String("id");
  const auto name = fields.String("name");
  const json::object* input = fields.Object("input");
  if (fields.ok() && !name) {
    Refuse(path + ".name", "Field required", ErrorCode::kInvalidArgument);
  }
  fields_.Adopt(fields.status());
  if (!ok()) return;
  const std::string shown_id = tokenizer_.EscapeUserText(id.value_or(""));
  const std::string shown_name = tokenizer_.EscapeUserText(*name);
  call_names_[shown_id] = shown_name;
  anatomy_.AddCall(id.value_or(""),
                   {{"name", *name}, {"arguments", input != nullptr ? *input : json::object()}});
  const json::value arguments =
      input != nullptr ? EscapeAll(*input, tokenizer_) : json::value(json::object());
  calls_.push_back({{"id", shown_id},
                    {"type", "function"},
                    {"function", {{"name", shown_name}, {"arguments", arguments}}}});
  Mark(block, path, {Place::kToolCall, next_message(), calls_.size() - 1, {}});
}

void ChatReader::TakeToolResult(const json::object& block, const std::string& path) {
  const std::string role = role_;
  Flush();  // the user's text before it
  role_ = "tool";
  FieldReader fields(block, path);
  const std::string_view call_id = fields.String("tool_use_id").value_or("");
  const std::string id = tokenizer_.EscapeUserText(call_id);
  anatomy_.AddResult(call_id);
  fields_.Adopt(fields.status());
  const json::value* content = fields.Find("content");
  std::optional<Duration> inner;
  std::string inner_path;
  if (content != nullptr) {
    ForEachBlock(
        *content, path + ".content", [&](const json::object& part, const std::string& part_path) {
          if (inner) {
            rules_.Breach(inner_path, "only the last block of a tool_result can carry it");
            inner.reset();
          }
          const auto text = TextOf(part, part_path);
          if (!text) return;
          if (!text->empty()) {
            Append(*text);
            anatomy_.AddText(*text);
          }
          inner = rules_.CacheControl(part, part_path);
          inner_path = part_path + ".cache_control";
          if (inner && text->empty()) {
            rules_.Breach(part_path + ".text", "cache_control cannot be set for empty text blocks");
            inner.reset();
          }
        });
  }
  if (!ok()) return;
  // Also an empty result is a message.
  const CacheMark place{Place::kText, next_message(), text_.size(), {}};
  Mark(block, path, place);
  if (inner && !last_ttl_) AddMark(place, *inner, inner_path);
  const size_t index = next_message();
  const bool is_empty = text_.empty();
  Flush();
  if (is_empty) messages_.push_back(json::object{{"role", "tool"}, {"content", ""}});
  json::object& message = messages_[index].as_object();
  message["tool_call_id"] = id;
  if (const auto name = call_names_.find(id); name != call_names_.end()) {
    message["name"] = name->second;
  }
  role_ = role;
}

void ChatReader::TakeBlock(const json::object& block, const std::string& path) {
  const std::string_view type = TypeOf(block);
  if (type == "tool_use" && role_ == "assistant") return TakeToolUse(block, path);
  if (type == "tool_result" && role_ == "user") return TakeToolResult(block, path);
  if (type == "thinking" || type == "redacted_thinking") {
    if (rules_.CacheControl(block, path)) {
      rules_.Breach(path, fmt::format("cache_control cannot be set for {} blocks", type));
    }
    return;
  }
  TakeText(block, path);
}

void ChatReader::ReadSystem() {
  const json::value* system = fields_.Find("system");
  if (system == nullptr) return;
  role_ = "system";
  anatomy_.BeginSystem();
  bool first = true;
  ForEachBlock(*system, "system", [&](const json::object& block, const std::string& path) {
    const bool is_first = std::exchange(first, false);
    const json::value* text = block.if_contains("text");
    if (is_first && model_.policy.drop_billing_line && TypeOf(block) == "text" && text != nullptr &&
        text->is_string() && IsBillingLine(std::string_view(text->get_string()))) {
      dropped_billing_line_ = true;
      if (rules_.CacheControl(block, path)) {
        rules_.Breach(path, "cache_control on the billing line, which is dropped");
      }
      return;
    }
    TakeText(block, path);
  });
  anatomy_.EndSystem();
  Flush();
}

void ChatReader::ReadMessage(const json::value& value, size_t index) {
  const std::string path = fmt::format("messages.{}", index);
  const json::object* message = value.if_object();
  if (message == nullptr) {
    return Refuse(path, "Input should be an object", ErrorCode::kInvalidArgument);
  }
  const json::value* role_value = message->if_contains("role");
  const std::string_view role = role_value != nullptr && role_value->is_string()
                                    ? std::string_view(role_value->get_string())
                                    : "";
  if (role != "user" && role != "assistant" && role != "system") {
    return Refuse(path + ".role", "Input should be 'user', 'assistant' or 'system'",
                  ErrorCode::kInvalidArgument);
  }
  const json::value* content = message->if_contains("content");
  if (content == nullptr) {
    return Refuse(path + ".content", "Field required", ErrorCode::kInvalidArgument);
  }
  if (role_ != role) {
    Flush();
    role_ = role;
  }
  anatomy_.BeginMessage(role);
  ForEachBlock(*content, path + ".content",
               [this](const json::object& block, const std::string& block_path) {
                 TakeBlock(block, block_path);
               });
  anatomy_.EndMessage();
}

void ChatReader::ReadMessages() {
  const json::array* messages = fields_.Array("messages", limits::kMaxMessages);
  if (fields_.ok() && (messages == nullptr || messages->empty())) {
    Refuse("messages", "at least one message is required", ErrorCode::kInvalidArgument);
  }
  const size_t before = next_message();
  for (size_t i = 0; ok() && i < messages->size(); ++i) ReadMessage((*messages)[i], i);
  Flush();
  if (ok() && next_message() == before) {
    Refuse("messages", "at least one message must have content", ErrorCode::kInvalidArgument);
  }
}

AnthropicChat ChatReader::Read() {
  ReadTools();
  if (ok()) ReadSystem();
  if (ok()) ReadMessages();
  AnthropicChat chat;
  if (!ok()) return chat;
  ReadTopLevelMark();
  chat.dropped_billing_line = dropped_billing_line_;
  const json::object& last = messages_.back().as_object();
  chat.prompt.continues_reply = last.at("role") == "assistant" && !last.contains("tool_calls");
  json::object& context = chat.prompt.context;
  context["messages"] = std::move(messages_);
  if (!tools_.empty()) context["tools"] = std::move(tools_);
  chat.prompt.anatomy = anatomy_.Take();
  context["add_generation_prompt"] = !chat.prompt.continues_reply;
  context["bos_token"] = model_.bos_token;
  context["eos_token"] = model_.eos_token;
  chat.prompt.marks = rules_.SettleAnthropic(std::move(marks_), paths_, marks_found_);
  FoldTools(model_.template_traits, chat.prompt);
  return chat;
}

}  // namespace

AnthropicChat ReadAnthropicChat(FieldReader& fields, const ServedModel& model, MarkerRules& rules) {
  return ChatReader(fields, model, rules).Read();
}

}  // namespace reprise
