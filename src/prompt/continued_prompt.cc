#include "prompt/continued_prompt.h"

#include <algorithm>
#include <string>

#include "base/common_tokens.h"
#include "prompt/template_context.h"

namespace reprise {

std::vector<TokenId> ContinuedPrompt(boost::json::object variables, std::string_view text,
                                     const PromptModel& model, std::string_view tenant) {
  std::string shown = model.tokenizer->EscapeUserText(text);
  variables["messages"].as_array().push_back({{"role", "assistant"}, {"content", shown}});
  variables["add_generation_prompt"] = false;
  const Result<std::string> rendered = RenderTemplate(variables, model);
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
