#pragma once

// Rotary frequencies of a model from its keys and tensors: base, linear scaling, Llama 3's factors,
// YaRN (arXiv 2309.00071) and LongRoPE (arXiv 2402.13753). Stateless; any thread.

#include "model/architecture.h"
#include "model/key_reader.h"
#include "model/model_config.h"

namespace reprise {

// What the table of one kind of layers is made of, beside the file's keys.
struct RopeChoice {
  double base = 10'000;
  bool scaled = true;  // rope.scaling.* holds for these layers
};

// inverse_frequencies[i] = base^(-2i / rotary_dim), scaled as the file says, in double and rounded
// once (RoFormer, arXiv 2104.09864, section 3.2.2); rotary_dim is rope.dimension_count or
// `otherwise`. Faults go to `keys`.
RopeTable ReadRope(KeyReader& keys, const Architecture& architecture, const ModelConfig& config,
                   int otherwise, const RopeChoice& choice);

// rope.freq_base, or the family's own.
double RopeBase(KeyReader& keys, const Architecture& architecture);

}  // namespace reprise
