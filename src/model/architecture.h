#pragma once

// What distinguishes one family of decoder-only transformers from another, as data: a row of a
// table, and a hook for what no row can say. The forward pass (decoder.cc) is one for all of them;
// a new family is a new row, and an entry of an enum with its branch where it needs an operation
// that no family needed before.
//
// Hyperparameters are read from `<architecture>.*` keys as llama.cpp's converter writes them
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
//
// Immutable; any thread.

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "kernels/operations.h"
#include "model/gguf.h"
#include "model/model.h"

namespace reprise {

enum class Presence : uint8_t {
  kAbsent,    // the family has no such tensor: one in the file is an error
  kOptional,  // used where the file has it
  kRequired,
};

enum class Norm : uint8_t { kRms };

// Tensor names; in those of a layer `{}` is its number. `.weight` and `.bias` follow.
struct TensorNames {
  std::string_view embedding = "token_embd";
  std::string_view output_norm = "output_norm";
  std::string_view output = "output";
  std::string_view rope_factors = "rope_freqs";
  std::string_view attention_norm = "blk.{}.attn_norm";
  std::string_view query = "blk.{}.attn_q";
  std::string_view key = "blk.{}.attn_k";
  std::string_view value = "blk.{}.attn_v";
  std::string_view attention_output = "blk.{}.attn_output";
  std::string_view feed_forward_norm = "blk.{}.ffn_norm";
  std::string_view gate = "blk.{}.ffn_gate";
  std::string_view up = "blk.{}.ffn_up";
  std::string_view down = "blk.{}.ffn_down";
};

struct Architecture {
  std::string_view name;  // general.architecture
  RopePairing rope_pairing = RopePairing::kAdjacent;
  double rope_base = 10'000;                    // where the file does not say
  Presence output = Presence::kOptional;        // absent: the embedding is the output matrix too
  Presence rope_factors = Presence::kOptional;  // divisors of the frequencies (Llama 3 scaling)
  Presence query_key_value_bias = Presence::kAbsent;
  Presence other_bias = Presence::kAbsent;  // attention output, gate, up, down
  Norm norm = Norm::kRms;
  Activation activation = Activation::kSilu;
  TensorNames names;
  // After the common keys were read; may refuse the file or change the configuration. May be null.
  Status (*hook)(const GgufFile& file, ModelConfig& config) = nullptr;
};

// kUnsupported, naming those that are known, for any other name.
Result<const Architecture*> FindArchitecture(std::string_view name);

// Reads and checks the hyperparameters. `vocabulary` stays 0: the embedding's shape says it.
// Errors: kCorrupt (missing, of a wrong type, out of range), kUnsupported.
Result<ModelConfig> ReadModelConfig(const GgufFile& file, const Architecture& architecture);

}  // namespace reprise
