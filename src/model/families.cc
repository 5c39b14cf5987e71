// The dense families. A hook says what a row cannot.

#include <cmath>

#include "base/limits.h"
#include "model/architecture.h"
#include "model/rope_config.h"

namespace reprise {
namespace {

// A rotary table of their own for the layers that look back only a window.
void AddWindowRope(KeyReader& keys, const Architecture& architecture, ModelConfig& config,
                   const RopeChoice& choice) {
  for (LayerConfig& layer : config.layer) {
    if (layer.window > 0) layer.rope = static_cast<int>(config.ropes.size());
  }
  config.ropes.push_back(ReadRope(keys, architecture, config, config.head_dim, choice));
}

// Where some layers look back only a window, the others do not turn q and K at all.
void TurnOnlyWindows(KeyReader&, const Architecture&, ModelConfig& config) {
  bool any = false;
  for (const LayerConfig& layer : config.layer) any = any || layer.window > 0;
  if (!any) return;
  for (LayerConfig& layer : config.layer) {
    if (layer.window == 0) layer.rope = LayerConfig::kNoRope;
  }
}

// In the largest models scores are scaled by the features of a head, had it its share of all.
void ScaleGemma(ModelConfig& config, int layers_of_the_largest) {
  config.embedding_scale = std::sqrt(static_cast<float>(config.hidden));
  if (config.layers != layers_of_the_largest) return;
  config.attention_scale =
      1.0F / std::sqrt(static_cast<float>(config.hidden) / static_cast<float>(config.heads));
}

void ReadGemma2(KeyReader& keys, const Architecture&, ModelConfig& config) {
  ScaleGemma(config, 46);
  config.attention_soft_cap = keys.Positive("attn_logit_softcapping", 50);
  config.logit_soft_cap = keys.Positive("final_logit_softcapping", 30);
}

void ReadGemma3(KeyReader& keys, const Architecture& architecture, ModelConfig& config) {
  ScaleGemma(config, 62);
  const double base = keys.OptionalPositive("rope.freq_base_swa").value_or(10'000);
  AddWindowRope(keys, architecture, config, {.base = base, .scaled = false});
}

void ReadOlmo2(KeyReader& keys, const Architecture& architecture, ModelConfig& config) {
  AddWindowRope(keys, architecture, config,
                {.base = RopeBase(keys, architecture), .scaled = false});
}

void ReadSmolLm3(KeyReader&, const Architecture&, ModelConfig& config) {
  for (size_t i = 3; i < config.layer.size(); i += 4) config.layer[i].rope = LayerConfig::kNoRope;
}

void ReadGranite(KeyReader&, const Architecture&, ModelConfig& config) {
  config.logit_scale = 1 / config.logit_scale;
}

// q of far positions is scaled up, so that attention stays sharp.
void ReadMistral3(KeyReader& keys, const Architecture&, ModelConfig& config) {
  config.query_growth =
      static_cast<float>(keys.OptionalPositive("attention.temperature_scale").value_or(0));
  config.query_growth_length =
      keys.Optional("rope.scaling.original_context_length", config.context, 1, limits::kMaxContext);
}

constexpr Architecture kDenseFamilies[] = {
    {.name = "qwen2", .query_key_value_bias = Presence::kOptional, .names = {}},
    {.name = "qwen3",
     .query_key_value_bias = Presence::kOptional,
     .head_norm = HeadNorm::kHead,
     .names = {}},
    {.name = "gemma2",
     .mixer_post_norm = Presence::kRequired,
     .feed_forward_post_norm = Presence::kRequired,
     .activation = Activation::kGelu,
     .window_period = 2,
     .names = {},
     .hook = ReadGemma2},
    {.name = "gemma3",
     .rope_base = 1'000'000,
     .mixer_post_norm = Presence::kRequired,
     .feed_forward_post_norm = Presence::kRequired,
     .head_norm = HeadNorm::kHead,
     .activation = Activation::kGelu,
     .window_period = 6,
     .names = {},
     .hook = ReadGemma3},
    {.name = "phi3", .long_rope = true, .fused = true, .window_period = 1, .names = {}},
    {.name = "mistral3",
     .rope_pairing = RopePairing::kAdjacent,
     .rope_factors = Presence::kOptional,
     .names = {},
     .hook = ReadMistral3},
    {.name = "smollm3",
     .rope_pairing = RopePairing::kAdjacent,
     .query_key_value_bias = Presence::kOptional,
     .names = {},
     .hook = ReadSmolLm3},
    {.name = "olmo2",
     .mixer_norm = Presence::kAbsent,
     .mixer_post_norm = Presence::kRequired,
     .feed_forward_norm = Presence::kAbsent,
     .feed_forward_post_norm = Presence::kRequired,
     .head_norm = HeadNorm::kWidth,
     .window_period = 4,
     .names = {},
     .hook = ReadOlmo2},
    {.name = "granite",
     .rope_pairing = RopePairing::kAdjacent,
     .query_key_value_bias = Presence::kOptional,
     .attention_output_bias = Presence::kOptional,
     .feed_forward_bias = Presence::kOptional,
     .names = {},
     .hook = ReadGranite},
    {.name = "command-r",
     .rope_pairing = RopePairing::kAdjacent,
     .norm = Norm::kLayer,
     .feed_forward_norm = Presence::kAbsent,
     .parallel = true,
     .query_key_value_bias = Presence::kOptional,
     .attention_output_bias = Presence::kOptional,
     .names = {}},
    {.name = "cohere2",
     .rope_pairing = RopePairing::kAdjacent,
     .norm = Norm::kLayer,
     .feed_forward_norm = Presence::kAbsent,
     .parallel = true,
     .query_key_value_bias = Presence::kOptional,
     .attention_output_bias = Presence::kOptional,
     .window_period = 4,
     .names = {},
     .hook = TurnOnlyWindows},
    {.name = "starcoder2",
     .norm = Norm::kLayer,
     .norm_bias = Presence::kRequired,
     .query_key_value_bias = Presence::kOptional,
     .attention_output_bias = Presence::kOptional,
     .feed_forward_bias = Presence::kOptional,
     .activation = Activation::kGelu,
     .gated = false,
     .names = {}},
    {.name = "glm4",
     .rope_pairing = RopePairing::kAdjacent,
     .mixer_post_norm = Presence::kRequired,
     .feed_forward_post_norm = Presence::kRequired,
     .query_key_value_bias = Presence::kOptional,
     .fused = true,
     .names = {}},
    {.name = "exaone", .rope_factors = Presence::kOptional, .names = {}},
    {.name = "exaone4",
     .rope_factors = Presence::kOptional,
     .mixer_norm = Presence::kAbsent,
     .mixer_post_norm = Presence::kRequired,
     .feed_forward_norm = Presence::kAbsent,
     .feed_forward_post_norm = Presence::kRequired,
     .head_norm = HeadNorm::kHead,
     .window_period = 4,
     .names = {},
     .hook = TurnOnlyWindows},
    {.name = "arcee",
     .rope_pairing = RopePairing::kAdjacent,
     .activation = Activation::kRelu2,
     .gated = false,
     .names = {}},
};

}  // namespace

std::span<const Architecture> DenseFamilies() { return kDenseFamilies; }

}  // namespace reprise
