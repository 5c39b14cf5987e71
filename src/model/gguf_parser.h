#pragma once

// From bytes to the contents of a GGUF file: all the distrust of gguf.h is in here.
// Pure function of the bytes; any thread.

#include <cstddef>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/gguf.h"

namespace reprise {

// Views point into the parsed bytes.
struct GgufContents {
  std::map<std::string_view, GgufFile::Value> metadata;
  std::vector<GgufTensor> tensors;                      // in the file's order
  std::map<std::string_view, size_t> tensor_positions;  // name to index in `tensors`
};

Result<GgufContents> ParseGguf(std::span<const std::byte> bytes);

}  // namespace reprise
