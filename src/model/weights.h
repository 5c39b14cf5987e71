#pragma once

// A model's weights, packed by an Operations, found in the file by the architecture's names and
// checked against the configuration's shapes. Names what is wrong; knows nothing of the forward
// pass.
//
// Immutable after LoadWeights; any thread.

#include <cstddef>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "base/error.h"
#include "kernels/operations.h"
#include "model/architecture.h"
#include "model/gguf.h"
#include "model/model_config.h"
#include "model/weight_loader.h"

namespace reprise {

struct NormWeights {
  std::vector<float> weight;  // [features]; empty: there is no norm
  std::vector<float> bias;    // [features], or empty

  explicit operator bool() const { return !weight.empty(); }
};

struct AttentionWeights {
  Linear query;                   // [heads * head_dim, hidden]
  Linear key;                     // [kv_heads * head_dim, hidden]
  Linear value;                   // [kv_heads * value_dim, hidden]
  std::vector<float> query_norm;  // as HeadNorm says, or empty
  std::vector<float> key_norm;
  std::vector<float> sinks;  // [heads], or empty
  Linear output;             // [hidden, heads * value_dim]
};

struct LatentAttentionWeights {
  Linear query_down;                              // [query_rank, hidden]; absent: see query_up
  std::vector<float> query_down_norm;             // [query_rank]
  Linear query_up;                                // [heads * (nope + rope), query_rank or hidden]
  Linear latent_down;                             // [rank + rope, hidden]
  std::vector<float> latent_norm;                 // [rank]
  std::vector<std::unique_ptr<Matrix>> key_up;    // heads × [rank, nope]
  std::vector<std::unique_ptr<Matrix>> value_up;  // heads × [value, rank]
  Linear output;                                  // [hidden, heads * value]
};

struct ShortConvWeights {
  Linear in;                // [3 * hidden, hidden]: in gate, out gate, x
  std::vector<float> conv;  // [taps, hidden]
  Linear out;               // [hidden, hidden]
};

struct Mamba2Weights {
  Linear in;                     // [inner + convolved + heads, hidden]: z, x and B and C, dt
  std::vector<float> conv;       // [taps, convolved]
  std::vector<float> conv_bias;  // [convolved]
  std::vector<float> dt_bias;    // [heads]
  std::vector<float> a;          // [heads]
  std::vector<float> d;          // [heads]
  std::vector<float> norm;       // [groups, inner / groups]
  Linear out;                    // [hidden, inner]
};

struct FeedForwardWeights {
  Linear gate;  // [feed_forward, hidden]; absent where nothing is gated
  Linear up;    // [feed_forward, hidden]
  Linear down;  // [hidden, feed_forward]

  // Views of these, valid as long as they are; also where they are moved.
  GatedMatrices Matrices(Activation activation) const {
    return {.activation = activation,
            .gate = gate.weight.get(),
            .up = up.weight.get(),
            .down = down.weight.get(),
            .gate_bias = gate.bias,
            .up_bias = up.bias,
            .down_bias = down.bias};
  }
};

struct ExpertsWeights {
  Linear router;                   // [experts, hidden]
  std::vector<float> choice_bias;  // [experts], added to choose, not to weigh; or empty
  std::vector<FeedForwardWeights> experts;
  std::vector<GatedMatrices> matrices;  // of the experts
  std::vector<float> shared_router;     // [hidden], or empty
  FeedForwardWeights shared;            // absent where no expert is shared
};

struct LayerWeights {
  NormWeights mixer_norm, mixer_post_norm;  // [hidden]
  std::variant<std::monostate, AttentionWeights, LatentAttentionWeights, ShortConvWeights,
               Mamba2Weights>
      mixer;
  NormWeights feed_forward_norm, feed_forward_post_norm;  // [hidden]
  std::variant<std::monostate, FeedForwardWeights, ExpertsWeights> feed_forward;
};

struct Weights {
  std::unique_ptr<Matrix> embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  NormWeights output_norm;         // [hidden]
  std::unique_ptr<Matrix> output;  // [vocabulary, hidden]; null: the embedding serves (tied)
  size_t bytes = 0;                // resident

  const Matrix& output_matrix() const { return output ? *output : *embedding; }
};

// Sets config.vocabulary from the embedding, and config.active_weights. `progress` (may be empty)
// is told the fraction of bytes packed. Errors: kCorrupt (missing tensor, wrong shape),
// kUnsupported (tensor type, a tensor that the architecture does not know: leaving it out would
// give wrong answers).
Result<Weights> LoadWeights(const GgufFile& file, const Architecture& architecture,
                            Operations& operations, const std::function<void(double)>& progress,
                            ModelConfig& config);

}  // namespace reprise
