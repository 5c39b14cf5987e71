#pragma once

// A secret that an operator keeps in a file: its content, without line breaks at the end.

#include <string>

#include "base/error.h"

namespace reprise {

// kInvalidArgument, saying what to do: it cannot be read, or is shorter than 16 bytes.
Result<std::string> ReadSecretFile(const std::string& path);

}  // namespace reprise
