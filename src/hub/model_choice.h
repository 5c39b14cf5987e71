#pragma once

// Which of a repository's files is the model that somebody means. Pure; any thread.

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "hub/model_reference.h"

namespace reprise {

struct RepoFile {
  std::string path;  // within the repository
  uint64_t bytes = 0;
  std::string sha256;  // of its content, hexadecimal; empty: the hub does not say
};

struct ModelChoice {
  std::vector<RepoFile> parts;  // one file, or all parts of a split one in their order
  // More files in the repository would change nothing but make the choice ambiguous: it was named,
  // or is of the type that is preferred to all others.
  bool certain = false;
};

// A split file's parts, NAME-00001-of-00003.gguf and so on, count as one file; mmproj and imatrix
// files do not count. With a selector: the file of that path or name, else the one whose path holds
// it, in any case; where several do, the one that holds it as a whole word (Q4_K in …-Q4_K.gguf,
// not in …-Q4_K_M.gguf). Without: the only one, else Q4_K_M, else Q4_0, else Q8_0.
// kInvalidArgument where several fit: lists them with their sizes. kNotFound: none fits, lists what
// there is; or parts are missing.
Result<ModelChoice> ChooseModel(const std::vector<RepoFile>& files,
                                const ModelReference& reference);

// "4.1 GB", "950 MB", "12 kB": for people.
std::string SizeText(uint64_t bytes);

}  // namespace reprise
