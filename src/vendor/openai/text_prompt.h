#pragma once

// `prompt` of a text completion: a string, [strings], [tokens] or [[tokens]]. Free function; any
// thread.

#include "vendor/call.h"
#include "vendor/json_reader.h"
#include "vendor/served_model.h"

namespace reprise {

// Adds the prompts to the call, whose parameters have been read. Faults stay in `fields`.
void ReadTextPrompts(FieldReader& fields, const ServedModel& model, Call& call);

}  // namespace reprise
