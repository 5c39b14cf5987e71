#pragma once

// What a GGUF file says of its model, as numbers: read by architecture.cc from the file's keys,
// the only thing that the forward pass asks beside the weights. Immutable after Load.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/operations.h"

namespace reprise {

// What mixes a layer's positions.
enum class Mixer : uint8_t {
  kNone,             // the layer is a feed-forward layer only (nemotron-h)
  kAttention,        // K and V for each position
  kLatentAttention,  // K and V compressed together (DeepSeek-V2, arXiv 2405.04434, section 2.1)
  kShortConv,        // a gated convolution over a few positions (LFM2, arXiv 2511.23404)
  kMamba2,           // a state space (Dao and Gu, arXiv 2405.21060)
};

enum class FeedForwardKind : uint8_t { kNone, kDense, kExperts };

struct LayerConfig {
  Mixer mixer = Mixer::kAttention;
  int kv_layer = 0;         // its number among the layers that have K and V
  size_t state_offset = 0;  // of a recurrent layer's part in the state of a sequence, in bytes
  int window = 0;           // positions that a row sees, its own among them; 0: all
  int rope = 0;             // of ModelConfig::ropes; kNoRope: q and K are not turned
  FeedForwardKind feed_forward_kind = FeedForwardKind::kDense;
  int feed_forward = 0;  // features between its products, of a dense one

  static constexpr int kNoRope = -1;
};

// How a row's experts are chosen and weighed.
struct ExpertsConfig {
  enum class Gating : uint8_t {
    kSoftmax = 1,  // of all experts, before they are chosen
    kSigmoid = 2,
    kSoftmaxOfChosen = 3,
  };
  int count = 0;
  int chosen = 0;  // for each row
  int feed_forward = 0;
  int shared_feed_forward = 0;  // of the expert that every row goes to; 0: there is none
  Gating gating = Gating::kSoftmax;
  bool normalize = false;  // the weights of those chosen are divided by their sum
  float scale = 1;         // then multiplied by this
  // Experts lie in groups, of which a row goes to the best only (DeepSeek-V3, arXiv 2412.19437).
  int groups = 1;
  int chosen_groups = 1;
};

// Multi-head latent attention: K of a head is `nope` dimensions that the latent vector gives, then
// `rope` that all heads share; V of a head comes from the latent vector too.
struct LatentConfig {
  int query_rank = 0;  // of q's own compression; 0: q is not compressed
  int rank = 0;        // of the latent vector
  int nope = 0;
  int rope = 0;
  int value = 0;
};

// The recurrent layers. A short convolution has as many channels as the model features.
struct RecurrentConfig {
  int taps = 0;  // of the convolution, also of the one before a state space
  // Mamba-2: heads of head_dim features, whose states have `state` numbers for each.
  int heads = 0;
  int head_dim = 0;
  int groups = 0;
  int state = 0;

  int inner() const { return heads * head_dim; }
  int convolved() const { return inner() + 2 * groups * state; }
};

struct ModelConfig {
  std::string architecture;  // "llama"
  std::string name;          // general.name, or the file's
  int layers = 0;
  int hidden = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;   // of q and K
  int value_dim = 0;  // of V
  int vocabulary = 0;
  int context = 0;  // trained context length
  float norm_epsilon = 0;
  std::vector<RopeTable> ropes;
  // The rotary frequencies were chosen by the context that is served, beyond the trained one.
  bool long_ropes = false;
  std::vector<LayerConfig> layer;  // [layers]
  float attention_scale = 0;       // of scores
  float attention_soft_cap = 0;    // 0: none
  float logit_soft_cap = 0;        // 0: none
  float embedding_scale = 1;
  float residual_scale = 1;  // of what a sublayer adds
  float logit_scale = 1;
  // q at position p is multiplied by 1 + query_growth · ln(1 + floor(p / query_growth_length)).
  float query_growth = 0;
  int query_growth_length = 1;
  ExpertsConfig experts;
  LatentConfig latent;
  RecurrentConfig recurrent;
  size_t state_bytes = 0;  // of the recurrent layers of one sequence
  // Weights of all layers that one row is multiplied with: what a row costs.
  double active_weights = 0;

  int kv_layers() const {
    int count = 0;
    for (const LayerConfig& one : layer) {
      if (one.mixer == Mixer::kAttention || one.mixer == Mixer::kLatentAttention) ++count;
    }
    return count;
  }
};

}  // namespace reprise
