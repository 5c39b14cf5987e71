#pragma once

// A conversation rendered by the model's template and tokenised, with its marks as positions among
// the tokens.
//
// A mark's position is measured, not computed from the template's rules: the conversation is
// rendered once more with other text right behind the mark and at the beginning of every later
// message, and the two renderings agree just as far as nothing behind the mark has a say. That
// holds for every template, whether it trims, repeats or reorders. Behind a tool are the tools and
// messages after it, but not the system text, which most templates with tools write before them.
// A token that reaches over the place is behind it.
// Pure functions over immutable parts; any thread.

#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache/breakpoint.h"
#include "prompt/template_context.h"

namespace reprise {

struct RenderedPrompt {
  // None when the text is so long that it cannot fit the model's longest sequence: then it is not
  // tokenised, and `least_tokens` says how many it would have at least.
  std::vector<TokenId> tokens;
  size_t least_tokens = 0;
  // Ascending, one a position (the longest lifetime of the marks there), none at 0 tokens. Marks
  // that the template does not show leave none.
  std::vector<Breakpoint> breakpoints;
};

// Errors as RenderTemplate's; kUnsupported when the template cannot go on in the last message. The
// context is changed for each rendering and restored.
Result<RenderedPrompt> RenderPrompt(TemplateContext& context, const PromptModel& model,
                                    std::string_view tenant);

}  // namespace reprise
