#pragma once

// What OpenAI's requests say of the reply's form: tool_choice, parallel_tool_calls,
// response_format, and what they said before there were tools. Free functions; any thread.

#include <boost/json.hpp>

#include "vendor/json_reader.h"
#include "vendor/wanted_form.h"

namespace reprise {

// Faults stay in `fields`.
WantedForm ReadOpenAiForm(FieldReader& fields);
// {"type": "json_schema", …} or {"type": "json_object"}; `wrapped`: name, strict and schema are
// inside of "json_schema", as in chat, not beside the type, as in responses. Faults stay in
// `format`.
void ReadResponseFormat(FieldReader& format, bool wrapped, WantedForm& wanted);
// A `tool_choice` of whatever kind. Faults stay in `fields`.
void ReadToolChoice(FieldReader& fields, WantedForm& wanted);

}  // namespace reprise
