#pragma once

#include <string>

#include "text/tokenizer.h"

namespace reprise {

// By which two programs tell that they cut texts into the same tokens: the SHA-256 of all that the
// vocabulary says, in hexadecimal.
std::string VocabularyHash(const Vocabulary& vocabulary);

}  // namespace reprise
