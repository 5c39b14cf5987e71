#pragma once

// A whole model in a few hundred kilobytes: random weights from a seed, a byte-level vocabulary of
// 512 tokens with merges, and a chat template, so that model, engine and server run on it in
// milliseconds. What it says is noise; that it says the same noise every time is what tests look
// at.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_writer.h"
#include "kernels/operations.h"

namespace reprise {

// One for each way in which positions come to know of each other, or rows of weights.
enum class TinyKind : uint8_t {
  kDense,      // architecture `llama`
  kWindow,     // `gemma3`: of three layers two look back only a window
  kExperts,    // `qwen3moe`
  kLatent,     // `deepseek2`: latent attention, a dense layer, then experts
  kRecurrent,  // `granitehybrid`: Mamba-2, but for the second layer, which has attention
};
inline constexpr TinyKind kTinyKinds[] = {TinyKind::kDense, TinyKind::kWindow, TinyKind::kExperts,
                                          TinyKind::kLatent, TinyKind::kRecurrent};
std::string_view TinyKindName(TinyKind kind);

struct TinyModel {
  TinyKind kind = TinyKind::kDense;
  int layers = 3;
  int hidden = 64;  // a multiple of 32, of 256 for K types
  int feed_forward = 96;
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 32;
  int context = 2048;
  WeightType type = WeightType::kQ4_1;            // of the layers' matrices
  WeightType embedding_type = WeightType::kQ8_0;  // of the embedding, and output where not tied
  int window = 40;                                // of kWindow
  bool tied = true;
  bool biases = false;  // of kDense
  bool rope_factors = false;
  uint64_t seed = 1;

  static constexpr int kVocabulary = 512;
  static constexpr int kEndOfText = 0, kTurnStart = 1, kTurnEnd = 2;  // the control tokens

  // The bytes of the GGUF file.
  std::vector<std::byte> Make() const { return MakeWriter().Finish(); }
  // The same before it is bytes, for tests that change it.
  GgufWriter MakeWriter() const;
  // The same in a file.
  void Write(const std::string& path) const;
};

}  // namespace reprise
