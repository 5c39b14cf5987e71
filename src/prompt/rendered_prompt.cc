#include "prompt/rendered_prompt.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/common_tokens.h"
#include "prompt/template_context.h"

namespace reprise {
namespace json = boost::json;
namespace {

using Place = CacheMark::Place;

// Noncharacters (U+FDD5, U+FDD6): no template has them, and none trims or changes them.
constexpr std::string_view kOtherText = "\xEF\xB7\x95";
constexpr std::string_view kStillOtherText = "\xEF\xB7\x96";

// What is other than `text`; all have the same size.
std::string_view OtherThan(std::string_view text) {
  return text.starts_with(kOtherText) ? kStillOtherText : kOtherText;
}

// How many bytes both begin with, whole characters only.
size_t CommonBytes(std::string_view a, std::string_view b) {
  size_t count = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  while (count > 0 && count < a.size() && (a[count] & 0xC0) == 0x80) --count;
  return count;
}

// Finds how far a rendering is independent of what is behind a mark. Changes the variables for each
// rendering and restores them.
class Prober {
 public:
  Prober(json::object& variables, std::string_view rendered, const PromptModel& model)
      : variables_(variables), rendered_(rendered), model_(model) {}

  size_t StableBytes(const CacheMark& mark) {
    switch (mark.place) {
      case Place::kTool:
        return BehindTool(mark.index);
      case Place::kText:
        return BehindText(mark.index, mark.offset);
      case Place::kToolCall:
        return BehindCall(mark.index, mark.offset);
      case Place::kPromptEnd:
        return rendered_.size();
    }
    return 0;
  }

 private:
  json::array& messages() { return variables_.at("messages").as_array(); }

  // How far the rendering is the same when the messages from `first` on begin with other text; 0
  // when the template refuses that.
  size_t StableBefore(size_t first) {
    ForEachContentFrom(first, [](json::string& content) { content.insert(0, OtherThan(content)); });
    const Result<std::string> other = RenderTemplate(variables_, model_);
    ForEachContentFrom(first, [](json::string& content) { content.erase(0, kOtherText.size()); });
    return other ? CommonBytes(rendered_, *other) : 0;
  }

  template <typename Change>
  void ForEachContentFrom(size_t first, Change change) {
    for (size_t i = first; i < messages().size(); ++i) {
      json::value* content = messages()[i].as_object().if_contains("content");
      if (content != nullptr && content->is_string()) change(content->get_string());
    }
  }

  // The same with `place` as `changed` too.
  size_t StableWith(json::value& place, json::value changed, size_t first) {
    json::value original = std::exchange(place, std::move(changed));
    const size_t stable = StableBefore(first);
    place = std::move(original);
    return stable;
  }

  size_t BehindText(size_t index, size_t offset) {
    json::object& message = messages()[index].as_object();
    json::string content(ContentOf(message));
    offset = std::min(offset, content.size());
    content.insert(offset, OtherThan(std::string_view(content).substr(offset)));
    return StableWith(message["content"], std::move(content), index + 1);
  }

  // The list ends there, or another element follows.
  json::array Continued(const json::array& list, size_t index, const json::object& other) {
    json::array changed = list;
    if (index + 1 < changed.size()) {
      changed.resize(index + 1);
    } else {
      changed.push_back(other);
    }
    return changed;
  }

  size_t BehindTool(size_t index) {
    const json::object other = {
        {"type", "function"},
        {"function",
         {{"name", kOtherText}, {"description", kOtherText}, {"parameters", json::object()}}}};
    json::value& tools = variables_.at("tools");
    const bool has_system =
        !messages().empty() && messages().front().as_object().at("role") == "system";
    return StableWith(tools, Continued(tools.as_array(), index, other), has_system ? 1 : 0);
  }

  size_t BehindCall(size_t index, size_t call) {
    const json::object other = {
        {"id", kOtherText},
        {"type", "function"},
        {"function", {{"name", kOtherText}, {"arguments", json::object()}}}};
    json::value& calls = messages()[index].as_object().at("tool_calls");
    const size_t stable = StableWith(calls, Continued(calls.as_array(), call, other), index + 1);
    // Some templates refuse a second call; then what the next message says is changed alone.
    return stable > 0 || index + 1 >= messages().size() ? stable : StableBefore(index + 1);
  }

  json::object& variables_;
  const std::string_view rendered_;
  const PromptModel& model_;
};

void AddBreakpoint(Breakpoint breakpoint, std::vector<Breakpoint>& breakpoints) {
  const auto at = std::ranges::lower_bound(breakpoints, breakpoint.tokens, {}, &Breakpoint::tokens);
  if (at != breakpoints.end() && at->tokens == breakpoint.tokens) {
    at->ttl = std::max(at->ttl, breakpoint.ttl);
  } else {
    breakpoints.insert(at, breakpoint);
  }
}

}  // namespace

Result<RenderedPrompt> RenderPrompt(TemplateContext& context, const PromptModel& model,
                                    std::string_view tenant) {
  Result<std::string> rendered = RenderTemplate(context.variables, model);
  if (!rendered) return std::unexpected(std::move(rendered).error());
  if (context.continues_reply) {
    const size_t last = context.variables.at("messages").as_array().size() - 1;
    Prober prober(context.variables, *rendered, model);
    const size_t end = prober.StableBytes({Place::kText, last, std::string::npos, {}});
    if (end == 0) {
      return Fail(ErrorCode::kUnsupported,
                  "This model's chat template cannot go on in the assistant's last message.",
                  "messages");
    }
    rendered->resize(end);
  }
  RenderedPrompt prompt;
  prompt.least_tokens = LeastTokensBeyond(*rendered, model);
  if (prompt.least_tokens > 0) return prompt;
  prompt.tokens = model.tokenizer->EncodeRendered(*rendered, tenant);
  Prober prober(context.variables, *rendered, model);
  for (const CacheMark& mark : context.marks) {
    const size_t bytes = prober.StableBytes(mark);
    if (bytes == 0) continue;
    const std::vector<TokenId> before =
        model.tokenizer->EncodeRendered(std::string_view(*rendered).substr(0, bytes), tenant);
    const size_t tokens = CommonTokens(before, prompt.tokens);
    if (tokens > 0) AddBreakpoint({tokens, mark.ttl}, prompt.breakpoints);
  }
  return prompt;
}

}  // namespace reprise
