#pragma once

// Opens a GGUF file and makes everything a command needs of it. Called once at start.

#include <memory>
#include <string>

#include "base/error.h"
#include "model/gguf.h"
#include "model/model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace reprise {

struct ModelOptions {
  std::string path;
  std::string isa = "auto";      // auto, avx512, avx2, plain
  std::string compute = "fast";  // fast, exact
  int threads = 0;               // 0: all cores
  int block_tokens = 32;
};

struct LoadedText {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // null where the file has none
  std::string chat_template_source;
};

// `chat_template_file`: a template in place of the file's own; empty: none. kIo, kInvalidArgument
// or kTooLarge where it cannot be read or is no template.
Result<LoadedText> LoadText(const GgufFile& file, const std::string& chat_template_file = "");

// Packs the weights; logs progress where that takes longer than a second.
Result<std::unique_ptr<Model>> LoadModel(const GgufFile& file, const ModelOptions& options);

// Prints "reprise: <sentence>" on standard error; returns 2, the exit code of what the user can
// mend.
int Complain(const Error& error);

}  // namespace reprise
