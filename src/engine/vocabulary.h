#pragma once

// Fills the text layer's inputs from a GGUF file: the one place that knows both sides.

#include <optional>
#include <string>

#include "base/error.h"
#include "model/gguf.h"
#include "text/tokenizer.h"

namespace reprise {

// The tokenizer.ggml.* keys. kCorrupt when a required key is absent or has another type.
Result<Vocabulary> ReadVocabulary(const GgufFile& file);

// tokenizer.chat_template, or nullopt where the file has none.
Result<std::optional<std::string>> ReadChatTemplate(const GgufFile& file);

}  // namespace reprise
