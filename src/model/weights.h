#pragma once

// A model's weights, packed by an Operations, found in the file by the architecture's names and
// checked against the configuration's shapes. Names what is wrong; knows nothing of the forward
// pass.
//
// Immutable after LoadWeights; any thread.

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "kernels/operations.h"
#include "model/architecture.h"
#include "model/gguf.h"
#include "model/model.h"

namespace reprise {

// y = x · weightᵀ + bias.
struct Linear {
  std::unique_ptr<Matrix> weight;  // [outputs, inputs]
  std::vector<float> bias;         // [outputs], or empty
};

struct LayerWeights {
  std::vector<float> attention_norm;     // [hidden]
  Linear query;                          // [heads * head_dim, hidden]
  Linear key;                            // [kv_heads * head_dim, hidden]
  Linear value;                          // [kv_heads * head_dim, hidden]
  Linear attention_output;               // [hidden, heads * head_dim]
  std::vector<float> feed_forward_norm;  // [hidden]
  Linear gate;                           // [feed_forward, hidden]
  Linear up;                             // [feed_forward, hidden]
  Linear down;                           // [hidden, feed_forward]
};

struct Weights {
  std::unique_ptr<Matrix> embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  // [hidden]
  std::unique_ptr<Matrix> output;  // [vocabulary, hidden]; null: the embedding serves (tied)

  const Matrix& output_matrix() const { return output ? *output : *embedding; }
  size_t bytes() const;  // resident
};

// Sets config.vocabulary from the embedding. `progress` (may be empty) is told the fraction of
// bytes packed. Errors: kCorrupt (missing tensor, wrong shape), kUnsupported (tensor type, a tensor
// that the architecture does not know: leaving it out would give wrong answers).
Result<Weights> LoadWeights(const GgufFile& file, const Architecture& architecture,
                            Operations& operations, const std::function<void(double)>& progress,
                            ModelConfig& config);

}  // namespace reprise
