#pragma once

// OpenAI's `prediction` (predicted outputs): what the client expects the reply to be, or much of
// it. Guesses for speculation, so it changes how fast a reply comes and no bit of it; therefore
// nothing that it stands beside is refused (`n`, log probabilities, penalties, tools, …), and what
// is longer than any reply is cut. Free functions; any thread.

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "prompt/prompt_model.h"
#include "vendor/json_reader.h"

namespace reprise {

// The text of {"type": "content", "content": …}, a string or text parts, which are joined; empty
// where nothing is predicted. Faults stay in `fields`.
std::string ReadPrediction(FieldReader& fields);

// As the model would write that text: without the template's words, and what spells a control token
// is text. No more than the model's longest sequence.
std::vector<TokenId> PredictedTokens(std::string_view text, const PromptModel& model,
                                     std::string_view tenant);

}  // namespace reprise
