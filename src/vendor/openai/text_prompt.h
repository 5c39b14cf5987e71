#pragma once

// `prompt` of a text completion, or `input` of embeddings: a string, [strings], [tokens] or
// [[tokens]]. Free function; any thread.

#include "vendor/call.h"
#include "vendor/json_reader.h"
#include "vendor/served_model.h"

namespace reprise {

// Adds the prompts in the field `name` to the call, whose parameters have been read: at most
// `most`, times its choices. Faults stay in `fields`.
void ReadTextPrompts(FieldReader& fields, const char* name, size_t most, const ServedModel& model,
                     Call& call);

}  // namespace reprise
