#pragma once

// llama.cpp's grammars (GBNF) as Lark. Pure; any thread. Form:
// https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md

#include <string>
#include <string_view>

#include "base/error.h"

namespace reprise {

// Rules are written with "::=" there.
bool IsGbnf(std::string_view grammar);
// kInvalidArgument with the line.
Result<std::string> LarkOfGbnf(std::string_view grammar);

}  // namespace reprise
