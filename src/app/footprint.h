#pragma once

// What a model will take of memory, told by its file's header alone: no weight is read. For
// Compute::kFast; what a server needs besides (requests, a step's activations) is small beside it.
// Pure; any thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/gguf.h"

namespace reprise {

struct Footprint {
  struct OfType {
    std::string type;
    size_t tensors = 0;
    uint64_t bytes = 0;  // in the file; 0 for a type that is not known here
  };
  uint64_t parameters = 0;      // elements of all tensors
  std::vector<OfType> types;    // the most bytes first
  uint64_t file_bytes = 0;      // of the weights
  uint64_t resident_bytes = 0;  // of the weights as they are packed
  // Of a model that can be served; else the reason is in `obstacle`.
  struct Served {
    std::string architecture, name;
    int trained_context = 0;
    int context = 0;  // that was asked about
    size_t kv_bytes_per_token = 0;
    uint64_t kv_bytes = 0;   // of one sequence of `context` tokens, in whole blocks
    size_t state_bytes = 0;  // of the recurrent layers of one sequence, whatever its length

    bool operator==(const Served&) const = default;
  };
  std::optional<Served> served;
  std::string obstacle;

  uint64_t needed_bytes() const {
    return resident_bytes + (served ? served->kv_bytes + served->state_bytes : 0);
  }
};

// `context` 0: what the model was trained for.
Footprint FootprintOf(const GgufFile& file, int context, int block_tokens);

}  // namespace reprise
