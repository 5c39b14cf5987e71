#pragma once

// Tools for templates that know none. A template that does not show tool definitions, calls or
// results (many small models') would drop them silently; here they become text, which is as much
// as such a model can take:
//
//   tool definitions   in front of the system text (order: tools, system, messages), one JSON a
//                      line between <tools> and </tools>; without a system message one is made
//   calls              behind the assistant's text, one JSON {"name", "arguments"} a line between
//                      <tool_call> and </tool_call>
//   results            a user's text between <tool_response> and </tool_response>, joined to the
//                      user's messages beside it, because such templates often want roles to
//                      alternate; only where the template takes no role "tool"
//
// Pure functions; any thread.

#include "prompt/template_context.h"
#include "prompt/template_traits.h"

namespace reprise {

// Puts into text what the template does not show; marks keep their places.
void FoldTools(const TemplateTraits& traits, TemplateContext& context);

}  // namespace reprise
