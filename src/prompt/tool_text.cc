#include "prompt/tool_text.h"

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

void FoldDefinitions(TemplateContext& context) {
  const json::array* tools = nullptr;
  if (const json::value* value = context.variables.if_contains("tools")) tools = value->if_array();
  if (tools == nullptr || tools->empty()) return;
  std::vector<size_t> ends;
  std::string text = ToolsText(*tools, ends);
  context.variables.erase("tools");

  json::array& messages = context.variables.at("messages").as_array();
  const bool has_system = !messages.empty() && RoleOf(messages.front().as_object()) == "system";
  const size_t added = has_system ? 0 : 1;
  size_t shift = 0;
  if (has_system) {
    text += kBlockSeparator;
    shift = text.size();
    json::object& system = messages.front().as_object();
    text += ContentOf(system);
    system["content"] = text;
  } else {
    messages.insert(messages.begin(), json::object{{"role", "system"}, {"content", text}});
  }
  for (CacheMark& mark : context.marks) {
    if (mark.place == Place::kTool) {
      mark = {Place::kText, 0, ends[mark.index], mark.ttl};
    } else if (mark.place != Place::kPromptEnd) {
      if (mark.place == Place::kText && mark.index == 0) mark.offset += shift;
      mark.index += added;
    }
  }
}

void FoldCalls(TemplateContext& context) {
  json::array& messages = context.variables.at("messages").as_array();
  for (size_t i = 0; i < messages.size(); ++i) {
    json::object& message = messages[i].as_object();
    const json::value* calls = message.if_contains("tool_calls");
    if (calls == nullptr || !calls->is_array()) continue;
    std::string text(ContentOf(message));
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
    for (CacheMark& mark : context.marks) {
      if (mark.place == Place::kToolCall && mark.index == i) {
        mark = {Place::kText, i, ends[mark.offset], mark.ttl};
      }
    }
  }
}

// A result as a user's message.
Moved FoldResult(const json::object& message, json::array& folded) {
  constexpr std::string_view kBegin = "<tool_response>\n";
  std::string text(kBegin);
  text += ContentOf(message);
  text += "\n</tool_response>";
  folded.push_back(json::object{{"role", "user"}, {"content", text}});
  return {folded.size() - 1, kBegin.size()};
}

// Joins the last message to the one before it when both are the user's.
void JoinUsers(json::array& folded, Moved& moved) {
  if (folded.size() < 2) return;
  json::object& before = folded[folded.size() - 2].as_object();
  const json::object& last = folded.back().as_object();
  if (RoleOf(before) != "user" || RoleOf(last) != "user") return;
  std::string text(ContentOf(before));
  text += kBlockSeparator;
  moved = {folded.size() - 2, moved.shift + text.size()};
  text += ContentOf(last);
  before["content"] = text;
  folded.pop_back();
}

void FoldResults(TemplateContext& context) {
  json::array& messages = context.variables.at("messages").as_array();
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
      moved = FoldResult(message.as_object(), folded);
    } else {
      folded.push_back(std::move(message));
    }
    if (is_result || after_result) JoinUsers(folded, moved);
    after_result = is_result;
    moves.push_back(moved);
  }
  messages = std::move(folded);
  for (CacheMark& mark : context.marks) {
    if (mark.place != Place::kText && mark.place != Place::kToolCall) continue;
    const Moved& moved = moves[mark.index];
    mark.index = moved.index;
    if (mark.place == Place::kText) mark.offset += moved.shift;
  }
}

}  // namespace

void FoldTools(const TemplateTraits& traits, TemplateContext& context) {
  if (!traits.tools) FoldDefinitions(context);
  if (!traits.tool_calls) FoldCalls(context);
  if (!traits.tool_role) FoldResults(context);
}

}  // namespace reprise
