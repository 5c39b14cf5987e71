#include "prompt/continued_prompt.h"

#include <algorithm>
#include <optional>

#include "base/common_tokens.h"
#include "prompt/template_context.h"

namespace reprise {
namespace json = boost::json;
namespace {

// How far the rendering goes with the reply in it.
struct Shown {
  std::string rendered;
  size_t end = 0;  // of the reply
};

// Where the reply's content ends.
std::optional<Shown> EndOfContent(const json::object& variables, std::string content,
                                  const PromptModel& model) {
  Result<std::string> rendered = RenderTemplate(variables, model);
  if (!rendered) return std::nullopt;
  // Many templates trim what they show.
  constexpr std::string_view kSpace = " \t\r\n";
  size_t at = rendered->rfind(content);
  if (at == std::string::npos) {
    content.erase(std::min(content.find_last_not_of(kSpace) + 1, content.size()));
    content.erase(0, std::min(content.find_first_not_of(kSpace), content.size()));
    if (!content.empty()) at = rendered->rfind(content);
  }
  if (content.empty() || at == std::string::npos) return std::nullopt;
  return Shown{std::move(*rendered), at + content.size()};
}

// Where two prompts that go on differently after the calls part.
std::optional<Shown> EndOfCalls(json::object& variables, const json::array& calls,
                                const PromptModel& model) {
  const json::object* first = calls.front().if_object();
  const json::value* id = first != nullptr ? first->if_contains("id") : nullptr;
  json::array& messages = variables.at("messages").as_array();
  messages.push_back(json::object{{"role", "tool"}, {"content", "a"}});
  if (id != nullptr) messages.back().as_object()["tool_call_id"] = *id;
  Result<std::string> rendered = RenderTemplate(variables, model);
  messages.back().as_object()["content"] = "b";
  const Result<std::string> other = RenderTemplate(variables, model);
  if (!rendered || !other) return std::nullopt;
  const auto part = std::ranges::mismatch(*rendered, *other).in1;
  if (part == rendered->end()) return std::nullopt;
  const auto end = static_cast<size_t>(part - rendered->begin());
  return Shown{std::move(*rendered), end};
}

}  // namespace

std::vector<TokenId> ContinuedPrompt(json::object variables, const json::object& reply,
                                     const PromptModel& model, const std::string& tenant) {
  // As the next turn's will be read.
  Conversation conversation;
  conversation.messages.push_back(reply);
  const TemplateContext read = MakeTemplateContext(conversation, model, tenant);
  const json::object& message = read.variables.at("messages").as_array().back().as_object();
  variables["add_generation_prompt"] = false;  // first: it may move what references point to
  json::array& messages = variables.at("messages").as_array();
  messages.push_back(message);
  std::optional<Shown> shown;
  const json::value* calls = message.if_contains("tool_calls");
  if (calls != nullptr && calls->is_array() && !calls->get_array().empty()) {
    shown = EndOfCalls(variables, calls->get_array(), model);
  } else {
    // Where the user comes next, templates drop the thinking before.
    if (message.contains("reasoning_content") && !reply.contains("tool_calls")) {
      messages.push_back(json::object{{"role", "user"}, {"content", "a"}});
    }
    shown = EndOfContent(variables, std::string(ContentOf(message)), model);
  }
  if (!shown) return {};
  // What follows the reply may reach into its last token, so only what both tokenisations share is
  // certain to be in the next prompt.
  std::vector<TokenId> tokens = model.tokenizer->EncodeRendered(
      std::string_view(shown->rendered).substr(0, shown->end), tenant);
  const std::vector<TokenId> whole = model.tokenizer->EncodeRendered(shown->rendered, tenant);
  tokens.resize(CommonTokens(tokens, whole));
  return tokens;
}

}  // namespace reprise
