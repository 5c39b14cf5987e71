#pragma once

// How a client wants its reply: the fields that chat and text completions share, and the log
// probabilities, which they spell differently. Free functions; any thread.

#include "vendor/call.h"
#include "vendor/json_reader.h"

namespace reprise {

// Reads all but the log probabilities into `parameters`, whose max_tokens is the default. Faults
// stay in `fields`.
void ReadParameters(FieldReader& fields, int vocabulary, CompletionParameters& parameters);
// Chat: `logprobs` is a boolean, `top_logprobs` a number that needs it.
void ReadChatLogprobs(FieldReader& fields, CompletionParameters& parameters);
// Text: `logprobs` is the number of alternatives.
void ReadTextLogprobs(FieldReader& fields, CompletionParameters& parameters);

}  // namespace reprise
