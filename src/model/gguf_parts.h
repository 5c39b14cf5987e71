#pragma once

// The several files of one model, as the converter writes them: NAME-00001-of-00003.gguf and so on,
// of which each says how many they are (split.count), which it is (split.no, from 0) and how many
// tensors all of them hold (split.tensors.count). The first has the model's other keys. Pure; any
// thread.

#include <string>
#include <vector>

#include "base/error.h"
#include "model/gguf_parser.h"

namespace reprise {

// The paths of all parts of the model of which `contents`, read from `path`, is one; `path` alone
// where the file is not split. kCorrupt where its name and keys do not agree, kTooLarge beyond
// limits::kMaxGgufParts.
Result<std::vector<std::string>> PartPaths(const std::string& path, const GgufContents& contents);

// The parts in their order as one. kCorrupt where they are not those of one model: another number,
// another count, a tensor too many, too few or twice, another architecture.
Result<GgufContents> JoinParts(const std::vector<std::string>& paths,
                               std::vector<GgufContents> parts);

}  // namespace reprise
