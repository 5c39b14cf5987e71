#include "vendor/openai/messages.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "vendor/openai/caching.h"

namespace reprise {
namespace json = boost::json;
namespace {

// What reading a message needs beside it.
struct Reading {
  MarkerRules& rules;
  std::optional<Duration> ttl;    // of a mark that names none
  std::vector<CacheMark>& marks;  // of all messages
  OutlineWriter& outline;
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

// Text parts, joined. Adds the latest marks.
void ReadParts(FieldReader& message, const json::array& parts, size_t index, Reading& reading,
               std::string& text) {
  std::vector<CacheMark> marks;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string name = fmt::format("content[{}]", i);
    text += ReadTextPart(parts[i], name, message);
    if (!message.ok()) return;
    if (const auto ttl = ReadBreakpoint(parts[i].get_object(), message.PathOf(name), reading.ttl,
                                        reading.rules)) {
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
void WriteOutline(const json::object& message, std::string_view role, const std::string& content,
                  const json::array& calls, OutlineWriter& outline) {
  outline.BeginMessage(role);
  if (!content.empty()) outline.AddText(content);
  for (const json::value& value : calls) {
    const json::value* function = value.get_object().if_contains("function");
    if (function == nullptr || !function->is_object()) continue;
    const json::value* id = value.get_object().if_contains("id");
    outline.AddCall(id != nullptr ? json::serialize(*id) : "", function->get_object());
  }
  for (const auto& [key, field] : message) {
    if (field.is_null() || key == "role" || key == "content" || key == "tool_calls") continue;
    outline.AddField(key, json::serialize(field));
  }
  outline.EndMessage();
}

Result<json::value> ReadMessage(const json::value& value, size_t index, Reading& reading) {
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
  const std::string content = ReadContent(fields, role == "assistant", index, reading);
  json::array unfolded;
  if (calls != nullptr) {
    unfolded = ReadToolCalls(fields, *calls);
  } else if (const json::object* call = fields.Object("function_call")) {
    // What calls were before they had that name.
    unfolded = ReadToolCalls(fields, {{{"type", "function"}, {"function", *call}}});
  }
  if (!fields.ok()) return std::unexpected(fields.status().error());

  json::object message;
  message["role"] = shown_role;
  message["content"] = content;
  if (!unfolded.empty()) message["tool_calls"] = unfolded;
  for (const auto& [key, field] : value.get_object()) {
    if (field.is_null() || message.contains(key) || key == "tool_calls" || key == "function_call") {
      continue;
    }
    message[key] = field;
  }
  WriteOutline(value.get_object(), shown_role, content, unfolded, reading.outline);
  return message;
}

}  // namespace

std::string_view ReadTextPart(const json::value& value, const std::string& name,
                              FieldReader& owner) {
  const std::string path = owner.PathOf(name);
  const json::object* object = value.if_object();
  if (object == nullptr) {
    owner.Refuse(ErrorCode::kInvalidArgument, name, fmt::format("'{}' must be an object.", path));
    return {};
  }
  FieldReader part(*object, path);
  const std::string_view type = part.String("type").value_or("");
  const bool refusal = type == "refusal";  // of an assistant
  if (part.ok() && type != "text" && !refusal) {
    part.Refuse(ErrorCode::kUnsupported, "type",
                fmt::format("'{}' is of type '{}'; this model takes content of type 'text' only.",
                            path, type));
  }
  const auto text = part.String(refusal ? "refusal" : "text");
  if (part.ok() && !text) {
    part.Refuse(ErrorCode::kInvalidArgument, "text", fmt::format("'{}' lacks its 'text'.", path));
  }
  owner.Adopt(part.status());
  return text.value_or("");
}

Result<json::array> ReadMessages(FieldReader& fields, std::optional<Duration> ttl,
                                 MarkerRules& rules, std::vector<CacheMark>& marks,
                                 OutlineWriter& outline) {
  Reading reading{rules, ttl, marks, outline};
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

}  // namespace reprise
