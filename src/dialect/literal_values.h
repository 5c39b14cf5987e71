#pragma once

// Values that families do not write as JSON, read as JSON: Python's literals, and FunctionGemma's.
// Internal to this folder.

#include <string>
#include <string_view>

#include "dialect/call_formats.h"
#include "dialect/reply_input.h"

namespace reprise {

// name(key=value, …)
Parse ReadPythonCall(ReplyInput& input, CallSink& sink);
// name{key:value, …}; a text is written <escape>text<escape>.
Parse ReadGemmaCall(ReplyInput& input, CallSink& sink);

// Appends a character. REQUIRES: it is one.
void AppendUtf8(uint32_t code, std::string& text);
// A text as a JSON string.
std::string QuotedJson(std::string_view text);
// The JSON of a value that stands alone: JSON, or True, False, None; else it is a text.
std::string JsonOfLiteral(std::string_view text);
// A byte of a text as it stands in a JSON string.
std::string EscapedForJson(char byte);

}  // namespace reprise
