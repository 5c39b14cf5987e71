// The families with recurrent layers. A hook says what a row cannot.

#include <fmt/format.h>

#include "base/limits.h"
#include "model/architecture.h"
#include "model/mamba2_layer.h"

namespace reprise {
namespace {

// Layers that have no K and V, `recurs` says of which, are recurrent, with a part of the state
// each.
template <typename Recurs>
void PlaceStates(ModelConfig& config, Mixer mixer, size_t bytes, Recurs recurs) {
  for (LayerConfig& layer : config.layer) {
    if (layer.mixer != Mixer::kNone || !recurs(layer)) continue;
    layer.mixer = mixer;
    layer.state_offset = config.state_bytes;
    config.state_bytes += bytes;
  }
}

void TurnNothing(ModelConfig& config) {
  for (LayerConfig& layer : config.layer) layer.rope = LayerConfig::kNoRope;
}

void ReadLfm2(KeyReader& keys, const Architecture&, ModelConfig& config) {
  config.recurrent.taps = keys.Require("shortconv.l_cache", 2, ShortConvSpec::kMaxTaps);
  const ShortConvSpec conv = {.channels = config.hidden, .taps = config.recurrent.taps};
  PlaceStates(config, Mixer::kShortConv, conv.StateBytes(),
              [](const LayerConfig&) { return true; });
}

void ReadLfm2Moe(KeyReader& keys, const Architecture& architecture, ModelConfig& config) {
  ReadLfm2(keys, architecture, config);
  config.experts.gating = ExpertsConfig::Gating::kSigmoid;
  config.experts.normalize = true;
  ReadExperts(keys, config);
}

template <typename Recurs>
void ReadMamba2(KeyReader& keys, ModelConfig& config, Recurs recurs) {
  RecurrentConfig& shape = config.recurrent;
  shape.taps = keys.Require("ssm.conv_kernel", 2, ShortConvSpec::kMaxTaps);
  shape.state = keys.Require("ssm.state_size", 1, limits::kMaxHeadDimension);
  shape.groups = keys.Require("ssm.group_count", 1, limits::kMaxHeads);
  shape.heads = keys.Require("ssm.time_step_rank", 1, limits::kMaxHeads);
  const int inner = keys.Require("ssm.inner_size", 1, limits::kMaxFeatures);
  if (inner % shape.heads != 0 || shape.heads % shape.groups != 0) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("{} features cannot be split into {} heads of {} groups", inner,
                           shape.heads, shape.groups));
    return;
  }
  shape.head_dim = inner / shape.heads;
  PlaceStates(config, Mixer::kMamba2, Mamba2Layer::StateBytes(shape), recurs);
}

void ReadGraniteHybrid(KeyReader& keys, const Architecture&, ModelConfig& config) {
  config.logit_scale = 1 / config.logit_scale;
  if (!keys.Boolean("rope.scaling.finetuned", false)) TurnNothing(config);
  ReadMamba2(keys, config, [](const LayerConfig&) { return true; });
  if (keys.Optional("expert_count", 0, 0, limits::kMaxExperts) == 0) return;
  config.experts.gating = ExpertsConfig::Gating::kSoftmaxOfChosen;
  ReadExperts(keys, config);
  config.experts.shared_feed_forward =
      keys.Optional("expert_shared_feed_forward_length", 0, 0, limits::kMaxFeatures);
}

// Each layer is one of three: attention, a state space, a feed-forward layer.
void ReadNemotronH(KeyReader& keys, const Architecture&, ModelConfig& config) {
  TurnNothing(config);
  ReadMamba2(keys, config, [](const LayerConfig& layer) {
    return layer.feed_forward_kind == FeedForwardKind::kNone;
  });
}

constexpr Architecture kRecurrentFamilies[] = {
    {.name = "lfm2",
     .head_norm = HeadNorm::kHead,
     .names = {.output_norm = "token_embd_norm"},
     .hook = ReadLfm2},
    {.name = "lfm2moe",
     .head_norm = HeadNorm::kHead,
     .names = {.output_norm = "token_embd_norm"},
     .hook = ReadLfm2Moe},
    {.name = "granitehybrid",
     .rope_pairing = RopePairing::kAdjacent,
     .names = {},
     .hook = ReadGraniteHybrid},
    {.name = "nemotron_h",
     .feed_forward_norm = Presence::kAbsent,
     .query_key_value_bias = Presence::kOptional,
     .attention_output_bias = Presence::kOptional,
     .feed_forward_bias = Presence::kOptional,
     .activation = Activation::kRelu2,
     .gated = false,
     .names = {},
     .hook = ReadNemotronH},
};

}  // namespace

std::span<const Architecture> RecurrentFamilies() { return kRecurrentFamilies; }

}  // namespace reprise
