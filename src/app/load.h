#pragma once

// Opens a GGUF file and makes everything a command needs of it. Called once at start.

#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "model/gguf.h"
#include "model/model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace reprise {

struct ModelOptions {
  std::string path;              // or its name on the hub
  std::string isa = "auto";      // auto, amx, avx512, avx_vnni, avx2, plain
  std::string compute = "fast";  // fast, exact
  int threads = 0;               // 0: DefaultThreads(), base/cpus.h
  std::string cpus;              // that the process is bound to, such as 0-3,8; empty: as it is
  int block_tokens = 32;
  int context = 0;  // that will be served; 0: as many as it was trained for
};

struct LoadedText {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // null where the file has none
  std::string chat_template_source;
};

// The path that `model` is, or, for hf:ORG/REPO…, that of its file, fetched if it is not there.
// What is fetched is said on standard error; Ctrl-C ends it (kCancelled).
Result<std::string> FindModel(const std::string& model);
// Opens what FindModel finds, with all its parts. kUnsupported, saying what to do, where the file
// is none that can be run: one that belongs to a model.
Result<GgufFile> OpenModel(const std::string& model);

// `chat_template_file`: a template in place of the file's own; empty: none. kIo, kInvalidArgument
// or kTooLarge where it cannot be read or is no template.
Result<LoadedText> LoadText(const GgufFile& file, const std::string& chat_template_file = "");

// The file's, without what tells the parts of a split one apart.
std::string ModelName(const GgufFile& file);
// As it is written; empty: there is none.
std::string TokenText(const Tokenizer& tokenizer, std::optional<TokenId> token);

// Packs the weights; logs progress where that takes longer than a second.
Result<std::unique_ptr<Model>> LoadModel(const GgufFile& file, const ModelOptions& options);

// Prints "reprise: <sentence>" on standard error; returns the exit code: 2, of what the user can
// mend, or 130 for kCancelled, of what the user has stopped.
int Complain(const Error& error);

}  // namespace reprise
