#include "api/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/common_tokens.h"
#include "base/limits.h"
#include "base/trace.h"

namespace reprise {
namespace json = boost::json;

json::value EscapeAll(const json::value& value, const Tokenizer& tokenizer) {
  if (value.is_string()) {
    return json::value(tokenizer.EscapeUserText(std::string_view(value.get_string())));
  }
  if (value.is_array()) {
    json::array escaped;
    escaped.reserve(value.get_array().size());
    for (const json::value& element : value.get_array()) {
      escaped.push_back(EscapeAll(element, tokenizer));
    }
    return escaped;
  }
  if (value.is_object()) {
    json::object escaped;
    escaped.reserve(value.get_object().size());
    for (const auto& [key, element] : value.get_object()) {
      escaped.insert_or_assign(tokenizer.EscapeUserText(std::string_view(key)),
                               EscapeAll(element, tokenizer));
    }
    return escaped;
  }
  return value;
}

size_t EscapedOffset(std::string_view text, size_t offset, const Tokenizer& tokenizer) {
  const std::string whole = tokenizer.EscapeUserText(text);
  if (offset >= text.size()) return whole.size();
  const std::string before = tokenizer.EscapeUserText(text.substr(0, offset));
  return static_cast<size_t>(std::ranges::mismatch(before, whole).in1 - before.begin());
}

namespace {

// What reading a message needs beside it.
struct Reading {
  const Tokenizer& tokenizer;
  MarkerRules& rules;
  std::optional<Duration> ttl;    // of a mark that names none
  std::vector<CacheMark>& marks;  // of all messages
  AnatomyWriter& anatomy;
};

// The role that the template is told; empty when unknown.
std::string_view TemplateRole(std::string_view role) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kRoles = {{
      {"system", "system"},
      {"developer", "system"},
      {"user", "user"},
      {"assistant", "assistant"},
      {"tool", "tool"},
      {"function", "tool"},
  }};
  for (const auto& [name, shown] : kRoles) {
    if (name == role) return shown;
  }
  return {};
}

// Text parts, joined. Adds the latest marks, their offsets for now those of the unescaped text.
void ReadParts(FieldReader& message, const json::array& parts, size_t index, Reading& reading,
               std::string& text) {
  std::vector<CacheMark> marks;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string name = fmt::format("content[{}]", i);
    const json::object* object = parts[i].if_object();
    if (object == nullptr) {
      message.Refuse(ErrorCode::kInvalidArgument, name,
                     fmt::format("'{}' must be an object.", message.PathOf(name)));
      return;
    }
    FieldReader part(*object, message.PathOf(name));
    const std::string_view type = part.String("type").value_or("");
    if (part.ok() && type != "text") {
      part.Refuse(ErrorCode::kUnsupported, "type",
                  fmt::format("'{}' is of type '{}'; this model takes content of type 'text' only.",
                              message.PathOf(name), type));
    }
    const auto piece = part.String("text");
    if (part.ok() && !piece) {
      part.Refuse(ErrorCode::kInvalidArgument, "text",
                  fmt::format("'{}' lacks its 'text'.", message.PathOf(name)));
    }
    message.Adopt(part.status());
    if (!message.ok()) return;
    text += *piece;
    if (const auto ttl = reading.rules.Breakpoint(*object, message.PathOf(name), reading.ttl)) {
      if (marks.size() == kMaxMarks) marks.erase(marks.begin());
      marks.push_back({CacheMark::Place::kText, index, text.size(), *ttl});
    }
  }
  reading.marks.insert(reading.marks.end(), marks.begin(), marks.end());
}

std::string ReadContent(FieldReader& message, bool may_be_absent, size_t index, Reading& reading) {
  const json::value* content = message.Find("content");
  std::string text;
  if (content == nullptr) {
    if (!may_be_absent) {
      message.Refuse(ErrorCode::kInvalidArgument, "content",
                     fmt::format("'{}' is missing: a string or an array of text parts is needed.",
                                 message.PathOf("content")));
    }
  } else if (content->is_string()) {
    text = std::string_view(content->get_string());
  } else if (content->is_array()) {
    ReadParts(message, content->get_array(), index, reading, text);
  } else {
    message.Refuse(ErrorCode::kInvalidArgument, "content",
                   fmt::format("'{}' must be a string or an array of text parts, not {}.",
                               message.PathOf("content"), KindName(*content)));
  }
  return text;
}

// Templates expect the arguments as an object; the API carries them as a string that holds one.
void UnfoldArguments(json::object& call) {
  json::value* function = call.if_contains("function");
  if (function == nullptr || !function->is_object()) return;
  json::value* arguments = function->get_object().if_contains("arguments");
  if (arguments == nullptr || !arguments->is_string()) return;
  Result<json::value> parsed = ParseJson(std::string_view(arguments->get_string()));
  if (parsed && parsed->is_object()) *arguments = std::move(*parsed);
}

json::array ReadToolCalls(FieldReader& message, const json::array& calls) {
  json::array unfolded = calls;
  for (size_t i = 0; i < unfolded.size(); ++i) {
    if (!unfolded[i].is_object()) {
      const std::string name = fmt::format("tool_calls[{}]", i);
      message.Refuse(ErrorCode::kInvalidArgument, name,
                     fmt::format("'{}' must be an object.", message.PathOf(name)));
      break;
    }
    UnfoldArguments(unfolded[i].get_object());
  }
  return unfolded;
}

// What the message says, so that it can be found in the prompt and compared with another's.
void WriteAnatomy(const json::object& message, std::string_view role, const std::string& content,
                  const json::array& calls, AnatomyWriter& anatomy) {
  anatomy.BeginMessage(role);
  if (!content.empty()) anatomy.AddText(content);
  for (const json::value& value : calls) {
    const json::value* function = value.get_object().if_contains("function");
    if (function == nullptr || !function->is_object()) continue;
    const json::value* id = value.get_object().if_contains("id");
    anatomy.AddCall(id != nullptr ? json::serialize(*id) : "", function->get_object());
  }
  for (const auto& [key, field] : message) {
    if (field.is_null() || key == "role" || key == "content" || key == "tool_calls") continue;
    anatomy.AddField(key, json::serialize(field));
  }
  anatomy.EndMessage();
}

Result<json::value> ReadMessage(const json::value& value, size_t index, Reading& reading) {
  const Tokenizer& tokenizer = reading.tokenizer;
  const std::string path = fmt::format("messages[{}]", index);
  if (!value.is_object()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' must be an object, not {}.", path, KindName(value)), path);
  }
  FieldReader fields(value.get_object(), path);
  const std::string_view role = fields.String("role").value_or("");
  const std::string_view shown_role = TemplateRole(role);
  if (shown_role.empty()) {
    fields.Refuse(ErrorCode::kInvalidArgument, "role",
                  fmt::format("'{}.role' must be one of system, developer, user, assistant, tool, "
                              "function, not '{}'.",
                              path, role));
  }
  const json::array* calls = fields.Array("tool_calls", limits::kMaxMessages);
  const bool may_lack_content = role == "assistant" && calls != nullptr && !calls->empty();
  const size_t first_mark = reading.marks.size();
  const std::string content = ReadContent(fields, may_lack_content, index, reading);
  for (size_t i = first_mark; i < reading.marks.size(); ++i) {
    size_t& offset = reading.marks[i].offset;
    offset = EscapedOffset(content, offset, tokenizer);
  }
  json::array unfolded;
  if (calls != nullptr) unfolded = ReadToolCalls(fields, *calls);
  if (!fields.ok()) return std::unexpected(fields.status().error());

  json::object message;
  message["role"] = shown_role;
  message["content"] = tokenizer.EscapeUserText(content);
  if (!unfolded.empty()) message["tool_calls"] = EscapeAll(unfolded, tokenizer);
  for (const auto& [key, field] : value.get_object()) {
    if (field.is_null() || message.contains(key) || key == "tool_calls") continue;
    message.insert_or_assign(tokenizer.EscapeUserText(std::string_view(key)),
                             EscapeAll(field, tokenizer));
  }
  WriteAnatomy(value.get_object(), shown_role, content, unfolded, reading.anatomy);
  return message;
}

Result<json::array> ReadMessages(FieldReader& fields, Reading& reading) {
  const json::array* messages = fields.Array("messages", limits::kMaxMessages);
  if (!fields.ok()) return std::unexpected(fields.status().error());
  if (messages == nullptr || messages->empty()) {
    return Fail(ErrorCode::kInvalidArgument, "'messages' must hold at least one message.",
                "messages");
  }
  json::array read;
  read.reserve(messages->size());
  for (size_t i = 0; i < messages->size(); ++i) {
    Result<json::value> message = ReadMessage((*messages)[i], i, reading);
    if (!message) return std::unexpected(std::move(message).error());
    read.push_back(std::move(*message));
  }
  return read;
}

// What would have to constrain the reply is refused, because ignoring it would look like success.
void ReadTools(FieldReader& fields, const Tokenizer& tokenizer, AnatomyWriter& anatomy,
               json::object& context) {
  if (fields.Find("functions") != nullptr) {
    fields.Refuse(ErrorCode::kUnsupported, "functions",
                  "'functions' is not supported; send 'tools' instead.");
  }
  const json::value* choice = fields.Find("tool_choice");
  const bool none = choice != nullptr && *choice == "none";
  if (choice != nullptr && !none && *choice != "auto") {
    fields.Refuse(ErrorCode::kUnsupported, "tool_choice",
                  "'tool_choice' may be 'auto' or 'none'; forcing a call is not supported yet.");
  }
  const json::array* tools = fields.Array("tools", limits::kMaxMessages);
  if (tools == nullptr || tools->empty() || none) return;
  for (size_t i = 0; i < tools->size(); ++i) {
    if (!(*tools)[i].is_object()) {
      const std::string name = fmt::format("tools[{}]", i);
      fields.Refuse(ErrorCode::kInvalidArgument, name,
                    fmt::format("'{}' must be an object.", name));
      return;
    }
  }
  for (const json::value& tool : *tools) anatomy.AddTool(tool.get_object());
  context["tools"] = EscapeAll(*tools, tokenizer);
}

}  // namespace

Result<ChatPrompt> ReadChat(const json::object& body, const ServedModel& model, MarkerRules& rules,
                            std::optional<Duration> ttl) {
  FieldReader fields(body, "");
  ChatPrompt chat;
  AnatomyWriter anatomy;
  Reading reading{*model.tokenizer, rules, ttl, chat.marks, anatomy};
  Result<json::array> messages = ReadMessages(fields, reading);
  if (!messages) return std::unexpected(std::move(messages).error());
  json::object& context = chat.context;
  context["messages"] = std::move(*messages);
  ReadTools(fields, *model.tokenizer, anatomy, context);
  context["add_generation_prompt"] = fields.Bool("add_generation_prompt").value_or(true);
  context["bos_token"] = model.bos_token;
  context["eos_token"] = model.eos_token;
  if (const json::object* more = fields.Object("chat_template_kwargs")) {
    for (const auto& [key, value] : *more) {
      if (!context.contains(key)) context[key] = EscapeAll(value, *model.tokenizer);
    }
  }
  if (!fields.ok()) return std::unexpected(fields.status().error());
  chat.anatomy = anatomy.Take();
  FoldTools(model.template_traits, chat);
  return chat;
}

Result<json::object> ReadChatContext(const json::object& body, const ServedModel& model) {
  const ApiPolicy lenient;
  MarkerRules unused(lenient);
  Result<ChatPrompt> chat = ReadChat(body, model, unused, std::nullopt);
  if (!chat) return std::unexpected(std::move(chat).error());
  return std::move(chat->context);
}

Result<std::string> RenderChat(const json::object& context, const ServedModel& model) {
  TraceScope trace("render template");
  if (model.chat_template == nullptr) {
    return Fail(ErrorCode::kUnsupported,
                "This model has no chat template; use /v1/completions with a prompt.", "messages");
  }
  Result<std::string> rendered = model.chat_template->Render(json::serialize(context));
  if (!rendered && rendered.error().code == ErrorCode::kInvalidArgument) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("The chat template refused the messages: {}", rendered.error().message),
                "messages");
  }
  return rendered;
}

std::vector<TokenId> ContinuedPrompt(json::object context, std::string_view text,
                                     const ServedModel& model, std::string_view tenant) {
  std::string shown = model.tokenizer->EscapeUserText(text);
  context["messages"].as_array().push_back({{"role", "assistant"}, {"content", shown}});
  context["add_generation_prompt"] = false;
  const Result<std::string> rendered = RenderChat(context, model);
  if (!rendered) return {};

  // Many templates trim what they show.
  constexpr std::string_view kSpace = " \t\r\n";
  size_t at = rendered->rfind(shown);
  if (at == std::string::npos) {
    shown.erase(std::min(shown.find_last_not_of(kSpace) + 1, shown.size()));
    shown.erase(0, std::min(shown.find_first_not_of(kSpace), shown.size()));
    if (!shown.empty()) at = rendered->rfind(shown);
  }
  if (shown.empty() || at == std::string::npos) return {};
  // What follows the reply may reach into its last token, so only what both tokenisations share is
  // certain to be in the next prompt.
  std::vector<TokenId> tokens = model.tokenizer->EncodeRendered(
      std::string_view(*rendered).substr(0, at + shown.size()), tenant);
  const std::vector<TokenId> whole = model.tokenizer->EncodeRendered(*rendered, tenant);
  tokens.resize(CommonTokens(tokens, whole));
  return tokens;
}

}  // namespace reprise
