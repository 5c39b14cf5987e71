#include "api/tool_text.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise {
namespace json = boost::json;
namespace {

using Place = CacheMark::Place;

constexpr std::string_view kToolsIntro =
    "You can call these tools. To call one, answer with a JSON object that has its \"name\" and "
    "its \"arguments\", between <tool_call> and </tool_call>.\n<tools>\n";
constexpr std::string_view kToolsEnd = "</tools>";

// Where a message's content went: message `index` of the new list, behind `shift` bytes.
struct Moved {
  size_t index = 0;
  size_t shift = 0;
};

std::string_view RoleOf(const json::object& message) {
  return std::string_view(message.at("role").as_string());
}

std::string ContentOf(const json::object& message) {
  const json::value* content = message.if_contains("content");
  if (content == nullptr || !content->is_string()) return {};
  return std::string(std::string_view(content->get_string()));
}

// The definitions; ends[i] is where tool i's line ends.
std::string ToolsText(const json::array& tools, std::vector<size_t>& ends) {
  std::string text(kToolsIntro);
  for (const json::value& tool : tools) {
    text += json::serialize(tool);
    ends.push_back(text.size());
    text += '\n';
  }
  return text += kToolsEnd;
}

void FoldDefinitions(ChatPrompt& chat) {
  const json::array* tools = nullptr;
  if (const json::value* value = chat.context.if_contains("tools")) tools = value->if_array();
  if (tools == nullptr || tools->empty()) return;
  std::vector<size_t> ends;
  std::string text = ToolsText(*tools, ends);
  chat.context.erase("tools");

  json::array& messages = chat.context.at("messages").as_array();
  const bool has_system = !messages.empty() && RoleOf(messages.front().as_object()) == "system";
  const size_t added = has_system ? 0 : 1;
  size_t shift = 0;
  if (has_system) {
    text += kBlockSeparator;
    shift = text.size();
    json::object& system = messages.front().as_object();
    system["content"] = text + ContentOf(system);
  } else {
    messages.insert(messages.begin(), json::object{{"role", "system"}, {"content", text}});
  }
  for (CacheMark& mark : chat.marks) {
    if (mark.place == Place::kTool) {
      mark = {Place::kText, 0, ends[mark.index], mark.ttl};
    } else if (mark.place != Place::kPromptEnd) {
      if (mark.place == Place::kText && mark.index == 0) mark.offset += shift;
      mark.index += added;
    }
  }
}

void FoldCalls(ChatPrompt& chat) {
  json::array& messages = chat.context.at("messages").as_array();
  for (size_t i = 0; i < messages.size(); ++i) {
    json::object& message = messages[i].as_object();
    const json::value* calls = message.if_contains("tool_calls");
    if (calls == nullptr || !calls->is_array()) continue;
    std::string text = ContentOf(message);
    std::vector<size_t> ends;
    for (const json::value& call : calls->get_array()) {
      json::object shown;
      const json::object* object = call.if_object();
      const json::value* function = object != nullptr ? object->if_contains("function") : nullptr;
      if (function != nullptr && function->is_object()) shown = function->get_object();
      if (!text.empty()) text += '\n';
      text += "<tool_call>\n" + json::serialize(shown) + "\n</tool_call>";
      ends.push_back(text.size());
    }
    message["content"] = text;
    message.erase("tool_calls");
    for (CacheMark& mark : chat.marks) {
      if (mark.place == Place::kToolCall && mark.index == i) {
        mark = {Place::kText, i, ends[mark.offset], mark.ttl};
      }
    }
  }
}

// A result as a user's message.
Moved FoldResult(json::object message, json::array& folded) {
  constexpr std::string_view kBegin = "<tool_response>\n";
  const std::string text = std::string(kBegin) + ContentOf(message) + "\n</tool_response>";
  folded.push_back(json::object{{"role", "user"}, {"content", text}});
  return {folded.size() - 1, kBegin.size()};
}

// Joins the last message to the one before it when both are the user's.
void JoinUsers(json::array& folded, Moved& moved) {
  if (folded.size() < 2) return;
  json::object& before = folded[folded.size() - 2].as_object();
  const json::object& last = folded.back().as_object();
  if (RoleOf(before) != "user" || RoleOf(last) != "user") return;
  std::string text = ContentOf(before);
  text += kBlockSeparator;
  moved = {folded.size() - 2, moved.shift + text.size()};
  before["content"] = text + ContentOf(last);
  folded.pop_back();
}

void FoldResults(ChatPrompt& chat) {
  json::array& messages = chat.context.at("messages").as_array();
  const bool any = std::ranges::any_of(
      messages, [](const json::value& message) { return RoleOf(message.as_object()) == "tool"; });
  if (!any) return;
  json::array folded;
  std::vector<Moved> moves;
  bool after_result = false;
  for (json::value& message : messages) {
    const bool is_result = RoleOf(message.as_object()) == "tool";
    Moved moved{folded.size(), 0};
    if (is_result) {
      moved = FoldResult(std::move(message.as_object()), folded);
    } else {
      folded.push_back(std::move(message));
    }
    if (is_result || after_result) JoinUsers(folded, moved);
    after_result = is_result;
    moves.push_back(moved);
  }
  messages = std::move(folded);
  for (CacheMark& mark : chat.marks) {
    if (mark.place != Place::kText && mark.place != Place::kToolCall) continue;
    const Moved& moved = moves[mark.index];
    mark.index = moved.index;
    if (mark.place == Place::kText) mark.offset += moved.shift;
  }
}

}  // namespace

TemplateTraits DetectTraits(const ChatTemplate& chat_template, const std::string& bos_token,
                            const std::string& eos_token) {
  constexpr std::string_view kResult = "qzxresult";  // no template contains it
  const auto render = [&](json::array messages, json::array tools) {
    json::object context = {{"messages", std::move(messages)},
                            {"add_generation_prompt", true},
                            {"bos_token", bos_token},
                            {"eos_token", eos_token}};
    if (!tools.empty()) context["tools"] = std::move(tools);
    return chat_template.Render(json::serialize(context));
  };
  // Whether the first rendering works and says something that the second does not.
  const auto adds = [](const Result<std::string>& with, const Result<std::string>& without) {
    return with && (!without || *with != *without);
  };
  const json::array tools = {
      {{"type", "function"},
       {"function",
        {{"name", "probe"},
         {"description", "d"},
         {"parameters", {{"type", "object"}, {"properties", json::object()}}}}}}};
  const json::object system = {{"role", "system"}, {"content", "s"}};
  const json::object user = {{"role", "user"}, {"content", "u"}};
  // Some templates insist on ids of nine characters.
  const json::object call = {
      {"role", "assistant"},
      {"content", ""},
      {"tool_calls",
       json::array{{{"id", "call_0001"},
                    {"type", "function"},
                    {"function", {{"name", "probe"}, {"arguments", json::object()}}}}}}};
  const json::object result = {
      {"role", "tool"}, {"tool_call_id", "call_0001"}, {"name", "probe"}, {"content", kResult}};
  const json::object silent = {{"role", "assistant"}, {"content", ""}};
  TemplateTraits traits;
  traits.tools = adds(render({user}, tools), render({user}, {})) ||
                 adds(render({system, user}, tools), render({system, user}, {}));
  traits.tool_calls = adds(render({user, call}, {}), render({user, silent}, {})) ||
                      adds(render({user, call, result}, {}), render({user, silent, result}, {}));
  const Result<std::string> answered = render({user, call, result}, {});
  traits.tool_role = answered && answered->find(kResult) != std::string::npos;
  return traits;
}

void FoldTools(const TemplateTraits& traits, ChatPrompt& chat) {
  if (!traits.tools) FoldDefinitions(chat);
  if (!traits.tool_calls) FoldCalls(chat);
  if (!traits.tool_role) FoldResults(chat);
}

}  // namespace reprise
