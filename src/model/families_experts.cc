// The families with mixtures of experts. A hook says what a row cannot.

#include <fmt/format.h>

#include <cmath>

#include "base/limits.h"
#include "model/architecture.h"
#include "model/rope_config.h"

namespace reprise {

void ReadExperts(KeyReader& keys, ModelConfig& config) {
  ExpertsConfig& experts = config.experts;
  experts.count = keys.Require("expert_count", 1, limits::kMaxExperts);
  experts.chosen = keys.Require("expert_used_count", 1, experts.count);
  const int otherwise = config.layer.front().feed_forward;
  experts.feed_forward =
      keys.Optional("expert_feed_forward_length", otherwise, 1, limits::kMaxFeatures);
  experts.scale = keys.Positive("expert_weights_scale", 1);
  experts.gating = static_cast<ExpertsConfig::Gating>(
      keys.Optional("expert_gating_func", static_cast<int64_t>(experts.gating), 1, 3));
  experts.normalize = keys.Boolean("expert_weights_norm", experts.normalize);
  experts.groups = keys.Optional("expert_group_count", 1, 1, experts.count);
  experts.chosen_groups = keys.Optional("expert_group_used_count", 1, 1, experts.groups);
  if (experts.count % experts.groups != 0) {
    keys.Fault(ErrorCode::kCorrupt, fmt::format("{} experts cannot be split into {} equal groups",
                                                experts.count, experts.groups));
  }
  const int dense = keys.Optional("leading_dense_block_count", 0, 0, config.layers);
  for (size_t i = static_cast<size_t>(dense); i < config.layer.size(); ++i) {
    config.layer[i].feed_forward_kind = FeedForwardKind::kExperts;
  }
}

namespace {

// Architecture `llama` is also what the converter calls Mixtral: the same with experts.
void ReadLlama(KeyReader& keys, const Architecture&, ModelConfig& config) {
  if (keys.Optional("expert_count", 0, 0, limits::kMaxExperts) == 0) return;
  config.experts.normalize = true;
  ReadExperts(keys, config);
}

void ReadQwen2Moe(KeyReader& keys, const Architecture&, ModelConfig& config) {
  ReadExperts(keys, config);
  config.experts.shared_feed_forward =
      keys.Optional("expert_shared_feed_forward_length", 0, 0, limits::kMaxFeatures);
}

void ReadQwen3Moe(KeyReader& keys, const Architecture&, ModelConfig& config) {
  config.experts.normalize = true;
  ReadExperts(keys, config);
}

void ReadOlmoe(KeyReader& keys, const Architecture&, ModelConfig& config) {
  ReadExperts(keys, config);
}

void ReadGraniteMoe(KeyReader& keys, const Architecture&, ModelConfig& config) {
  config.logit_scale = 1 / config.logit_scale;
  config.experts.gating = ExpertsConfig::Gating::kSoftmaxOfChosen;
  ReadExperts(keys, config);
  config.experts.shared_feed_forward =
      keys.Optional("expert_shared_feed_forward_length", 0, 0, limits::kMaxFeatures);
}

void ReadGptOss(KeyReader& keys, const Architecture&, ModelConfig& config) {
  config.experts.gating = ExpertsConfig::Gating::kSoftmaxOfChosen;
  ReadExperts(keys, config);
}

// K of a head is as wide as the latent vector and what turns, of which all heads have one; V is the
// latent vector itself, so that all heads read one K and V (DeepSeek-V2, section 2.1.3).
void ReadDeepseek2(KeyReader& keys, const Architecture&, ModelConfig& config) {
  LatentConfig& latent = config.latent;
  latent.query_rank = keys.Optional("attention.q_lora_rank", 0, 0, limits::kMaxFeatures);
  latent.rank = keys.Require("attention.kv_lora_rank", 1, limits::kMaxHeadDimension);
  latent.rope = keys.Require("rope.dimension_count", 2, limits::kMaxHeadDimension);
  const int head =
      keys.Require("attention.key_length_mla", latent.rope + 1, limits::kMaxHeadDimension);
  latent.nope = head - latent.rope;
  latent.value = keys.Require("attention.value_length_mla", 1, limits::kMaxHeadDimension);
  if (config.kv_heads != 1 || config.head_dim != latent.rank + latent.rope ||
      config.value_dim != latent.rank) {
    keys.Fault(
        ErrorCode::kUnsupported,
        "the file holds K and V for each head, not the latent vector: it was converted before "
        "2025-04; take a newer one");
  }
  for (LayerConfig& layer : config.layer) layer.mixer = Mixer::kLatentAttention;
  // YaRN scales the scores too, by what the file tells as a tenth of its factor.
  double scale = 1.0 / std::sqrt(static_cast<double>(head));
  const double factor = keys.OptionalPositive("rope.scaling.factor").value_or(1);
  const double multiplier = keys.OptionalPositive("rope.scaling.yarn_log_multiplier").value_or(0);
  if (keys.OptionalString("rope.scaling.type") == "yarn" && factor > 1) {
    const double stretch = 1 + multiplier * std::log(factor);
    scale *= stretch * stretch;
    config.ropes.front().attention_factor = 1;
  }
  config.attention_scale = static_cast<float>(scale);

  config.experts.gating = ExpertsConfig::Gating::kSoftmax;
  ReadExperts(keys, config);
  config.experts.shared_feed_forward =
      config.experts.feed_forward * keys.Optional("expert_shared_count", 0, 0, 64);
}

constexpr Architecture kExpertFamilies[] = {
    {.name = "llama",
     .rope_pairing = RopePairing::kAdjacent,
     .rope_factors = Presence::kOptional,
     .query_key_value_bias = Presence::kOptional,
     .attention_output_bias = Presence::kOptional,
     .feed_forward_bias = Presence::kOptional,
     .names = {},
     .hook = ReadLlama},
    {.name = "qwen2moe",
     .query_key_value_bias = Presence::kOptional,
     .names = {},
     .hook = ReadQwen2Moe},
    {.name = "qwen3moe", .head_norm = HeadNorm::kHead, .names = {}, .hook = ReadQwen3Moe},
    {.name = "olmoe", .head_norm = HeadNorm::kWidth, .names = {}, .hook = ReadOlmoe},
    {.name = "granitemoe",
     .rope_pairing = RopePairing::kAdjacent,
     .names = {},
     .hook = ReadGraniteMoe},
    {.name = "gpt-oss",
     .exact_yarn_range = true,
     .feed_forward_norm = Presence::kRequired,
     .query_key_value_bias = Presence::kRequired,
     .attention_output_bias = Presence::kRequired,
     .experts_bias = Presence::kRequired,
     .sinks = Presence::kRequired,
     .activation = Activation::kClampedSilu,
     .window_period = 2,
     .names = {.feed_forward_norm = "blk.{}.post_attention_norm"},
     .hook = ReadGptOss},
    {.name = "deepseek2",
     .rope_pairing = RopePairing::kAdjacent,
     .names = {},
     .hook = ReadDeepseek2},
};

}  // namespace

std::span<const Architecture> ExpertFamilies() { return kExpertFamilies; }

}  // namespace reprise
