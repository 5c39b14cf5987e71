#pragma once

// The prompt of the turn that will follow a reply. Free function over immutable parts; any thread.

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "prompt/prompt_model.h"

namespace reprise {

// The prompt that a client will send next if it appends `reply`, a message of the assistant's
// (conversation.h): the conversation up to the end of that reply, as tokens. `variables` are those
// the prompt was rendered with (TemplateContext). Empty when the template does not show the reply.
//
// A reply's tokens as they were sampled need not be those that its text is tokenised to. Where they
// differ, the next turn could read only up to the difference; prefilling these tokens beforehand
// makes it read everything, with the bits that a cold computation would give.
std::vector<TokenId> ContinuedPrompt(boost::json::object variables,
                                     const boost::json::object& reply, const PromptModel& model,
                                     const std::string& tenant);

}  // namespace reprise
