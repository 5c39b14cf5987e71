#pragma once

// What distinguishes one family of decoder-only transformers from another, as data: a row of a
// table (families.cc and its neighbours), and a hook for what no row can say. The forward pass
// (decoder.cc) is one for all of them; a new family is a new row, and an entry of an enum with its
// branch where it needs an operation that no family needed before.
//
// Hyperparameters are read from `<architecture>.*` keys as llama.cpp's converter writes them
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
//
// Immutable; any thread.

#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "kernels/operations.h"
#include "model/gguf.h"
#include "model/key_reader.h"
#include "model/model_config.h"

namespace reprise {

enum class Presence : uint8_t {
  kAbsent,    // the family has no such tensor: one in the file is an error
  kOptional,  // used where the file has it
  kRequired,
};

enum class Norm : uint8_t { kRms, kLayer };

// Over what q and K are normalised before they turn.
enum class HeadNorm : uint8_t {
  kNone,
  kHead,   // each head by itself, with one weight [head_dim]
  kWidth,  // all heads together, with a weight [heads * head_dim]
};

// Tensor names; in those of a layer `{}` is its number. `.weight` and `.bias` follow.
struct TensorNames {
  std::string_view embedding = "token_embd";
  std::string_view output_norm = "output_norm";
  std::string_view output = "output";
  std::string_view rope_factors = "rope_freqs";
  std::string_view long_rope_factors = "rope_factors_long";
  std::string_view short_rope_factors = "rope_factors_short";
  std::string_view mixer_norm = "blk.{}.attn_norm";
  std::string_view mixer_post_norm = "blk.{}.post_attention_norm";
  std::string_view query = "blk.{}.attn_q";
  std::string_view key = "blk.{}.attn_k";
  std::string_view value = "blk.{}.attn_v";
  std::string_view query_key_value = "blk.{}.attn_qkv";  // one behind the other
  std::string_view query_norm = "blk.{}.attn_q_norm";
  std::string_view key_norm = "blk.{}.attn_k_norm";
  std::string_view attention_output = "blk.{}.attn_output";
  std::string_view sinks = "blk.{}.attn_sinks";
  std::string_view feed_forward_norm = "blk.{}.ffn_norm";
  std::string_view feed_forward_post_norm = "blk.{}.post_ffw_norm";
  std::string_view gate = "blk.{}.ffn_gate";
  std::string_view up = "blk.{}.ffn_up";
  std::string_view down = "blk.{}.ffn_down";
  // Mixtures of experts.
  std::string_view router = "blk.{}.ffn_gate_inp";
  std::string_view choice_bias = "blk.{}.exp_probs_b";  // has no weight
  std::string_view gate_experts = "blk.{}.ffn_gate_exps";
  std::string_view up_experts = "blk.{}.ffn_up_exps";
  std::string_view down_experts = "blk.{}.ffn_down_exps";
  std::string_view shared_router = "blk.{}.ffn_gate_inp_shexp";
  std::string_view shared_gate = "blk.{}.ffn_gate_shexp";
  std::string_view shared_up = "blk.{}.ffn_up_shexp";
  std::string_view shared_down = "blk.{}.ffn_down_shexp";
  // Latent attention.
  std::string_view query_down = "blk.{}.attn_q_a";
  std::string_view query_down_norm = "blk.{}.attn_q_a_norm";
  std::string_view query_up = "blk.{}.attn_q_b";
  std::string_view latent_down = "blk.{}.attn_kv_a_mqa";
  std::string_view latent_norm = "blk.{}.attn_kv_a_norm";
  std::string_view key_up = "blk.{}.attn_k_b";
  std::string_view value_up = "blk.{}.attn_v_b";
  // Recurrent layers.
  std::string_view conv_in = "blk.{}.shortconv.in_proj";
  std::string_view conv = "blk.{}.shortconv.conv";
  std::string_view conv_out = "blk.{}.shortconv.out_proj";
  std::string_view state_in = "blk.{}.ssm_in";
  std::string_view state_conv = "blk.{}.ssm_conv1d";
  std::string_view state_dt = "blk.{}.ssm_dt";  // has a bias only
  std::string_view state_a = "blk.{}.ssm_a";    // these two have no ending
  std::string_view state_d = "blk.{}.ssm_d";
  std::string_view state_norm = "blk.{}.ssm_norm";
  std::string_view state_out = "blk.{}.ssm_out";
};

struct Architecture {
  std::string_view name;  // general.architecture

  RopePairing rope_pairing = RopePairing::kHalves;
  double rope_base = 10'000;                  // where the file does not say
  Presence rope_factors = Presence::kAbsent;  // divisors of the frequencies (Llama 3 scaling)
  bool long_rope = false;                     // two sets of divisors, chosen by the context served
  bool exact_yarn_range = false;              // YaRN's ramp begins and ends between frequencies

  Norm norm = Norm::kRms;
  Presence norm_bias = Presence::kAbsent;
  Presence mixer_norm = Presence::kRequired;
  Presence mixer_post_norm = Presence::kAbsent;
  Presence feed_forward_norm = Presence::kRequired;
  Presence feed_forward_post_norm = Presence::kAbsent;
  // Both sublayers read the same normed x, and both are added to x (GPT-J).
  bool parallel = false;

  Presence output = Presence::kOptional;  // absent: the embedding is the output matrix too
  Presence query_key_value_bias = Presence::kAbsent;
  Presence attention_output_bias = Presence::kAbsent;
  Presence feed_forward_bias = Presence::kAbsent;
  Presence experts_bias = Presence::kAbsent;  // of experts and of what chooses them
  bool fused = false;                         // q, k and v may be one tensor, gate and up too
  HeadNorm head_norm = HeadNorm::kNone;
  Presence sinks = Presence::kAbsent;

  Activation activation = Activation::kSilu;
  bool gated = true;

  // Of so many layers all but the last look back `attention.sliding_window` positions only; 1: all
  // layers do; 0: none. `attention.sliding_window_pattern` of the file goes before.
  int window_period = 0;

  TensorNames names;
  // After the common keys were read; may refuse the file or change the configuration. May be null.
  void (*hook)(KeyReader& keys, const Architecture& architecture, ModelConfig& config) = nullptr;
};

// The rows of the table: dense families (families.cc), those with experts (families_experts.cc),
// and those with recurrent layers (families_recurrent.cc).
std::span<const Architecture> DenseFamilies();
std::span<const Architecture> ExpertFamilies();
std::span<const Architecture> RecurrentFamilies();

// The keys that describe experts, for hooks; all layers but the first `leading_dense_block_count`
// get them. What `config.experts` held before are the family's own defaults.
void ReadExperts(KeyReader& keys, ModelConfig& config);

// kUnsupported, naming those that are known, for any other name.
Result<const Architecture*> FindArchitecture(std::string_view name);

// Reads and checks the hyperparameters, to serve `context` tokens (0: as many as it was trained
// for). `vocabulary` stays 0: the embedding's shape says it.
// Errors: kCorrupt (missing, of a wrong type, out of range), kUnsupported.
Result<ModelConfig> ReadModelConfig(const GgufFile& file, const Architecture& architecture,
                                    int context);

}  // namespace reprise
