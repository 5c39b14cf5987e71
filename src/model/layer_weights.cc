#include "model/layer_weights.h"

#include <array>
#include <utility>

namespace reprise {
namespace {

// What the loading of every part of a layer needs.
struct LayerSource {
  LayerLoader& fields;
  const Architecture& architecture;
  const TensorNames& names;
  const ModelConfig& config;
  const LayerConfig& layer;
};

void LoadNorm(const LayerSource& from, std::string_view name, Presence presence, NormWeights* out) {
  from.fields.Vector(name, presence, from.config.hidden, &out->weight);
  if (presence == Presence::kAbsent) return;
  from.fields.Vector(name, from.architecture.norm_bias, from.config.hidden, &out->bias, "bias");
}

void LoadHeadNorms(const LayerSource& from, AttentionWeights* out) {
  const HeadNorm kind = from.architecture.head_norm;
  if (kind == HeadNorm::kNone) return;
  const bool is_wide = kind == HeadNorm::kWidth;
  const int head = from.config.head_dim;
  from.fields.Vector(from.names.query_norm, Presence::kRequired,
                     is_wide ? from.config.heads * head : head, &out->query_norm);
  from.fields.Vector(from.names.key_norm, Presence::kRequired,
                     is_wide ? from.config.kv_heads * head : head, &out->key_norm);
}

AttentionWeights LoadAttention(const LayerSource& from) {
  const auto& [fields, architecture, names, config, layer] = from;
  const int hidden = config.hidden;
  const int query = config.heads * config.head_dim;
  const int key = config.kv_heads * config.head_dim;
  const int value = config.kv_heads * config.value_dim;
  const Presence bias = architecture.query_key_value_bias;
  AttentionWeights weights;
  if (architecture.fused && fields.Has(names.query_key_value)) {
    const std::array<LayerLoader::Part, 3> parts = {
        {{query, &weights.query}, {key, &weights.key}, {value, &weights.value}}};
    fields.FusedLinear(names.query_key_value, bias, hidden, parts);
  } else {
    fields.Linear(names.query, bias, query, hidden, &weights.query);
    fields.Linear(names.key, bias, key, hidden, &weights.key);
    fields.Linear(names.value, bias, value, hidden, &weights.value);
  }
  LoadHeadNorms(from, &weights);
  fields.Vector(names.sinks, architecture.sinks, config.heads, &weights.sinks);
  fields.Linear(names.attention_output, architecture.attention_output_bias, hidden,
                config.heads * config.value_dim, &weights.output);
  return weights;
}

LatentAttentionWeights LoadLatentAttention(const LayerSource& from) {
  const auto& [fields, architecture, names, config, layer] = from;
  const LatentConfig& latent = config.latent;
  const int heads = config.heads;
  const int query = heads * (latent.nope + latent.rope);
  LatentAttentionWeights weights;
  if (latent.query_rank > 0) {
    fields.Matrix(names.query_down, latent.query_rank, config.hidden, &weights.query_down);
    fields.Vector(names.query_down_norm, Presence::kRequired, latent.query_rank,
                  &weights.query_down_norm);
    fields.Matrix(names.query_up, query, latent.query_rank, &weights.query_up);
  } else {
    fields.Matrix(names.query, query, config.hidden, &weights.query_up);
  }
  fields.Matrix(names.latent_down, latent.rank + latent.rope, config.hidden, &weights.latent_down);
  fields.Vector(names.latent_norm, Presence::kRequired, latent.rank, &weights.latent_norm);
  fields.Matrices(names.key_up, heads, latent.rank, latent.nope, &weights.key_up);
  fields.Matrices(names.value_up, heads, latent.value, latent.rank, &weights.value_up);
  fields.Matrix(names.attention_output, config.hidden, heads * latent.value, &weights.output);
  return weights;
}

// The taps of a convolution: [taps, channels] of the file's [channels, taps].
void LoadTaps(const LayerSource& from, std::string_view name, int channels,
              std::vector<float>* out) {
  const int taps = from.config.recurrent.taps;
  std::vector<float> table;
  from.fields.Table(name, channels, taps, &table);
  out->resize(table.size());
  for (size_t i = 0; i < table.size(); ++i) {
    const size_t channel = i / static_cast<size_t>(taps);
    const size_t tap = i % static_cast<size_t>(taps);
    (*out)[tap * static_cast<size_t>(channels) + channel] = table[i];
  }
}

ShortConvWeights LoadShortConv(const LayerSource& from) {
  const auto& [fields, architecture, names, config, layer] = from;
  ShortConvWeights weights;
  fields.Matrix(names.conv_in, 3 * config.hidden, config.hidden, &weights.in);
  LoadTaps(from, names.conv, config.hidden, &weights.conv);
  fields.Matrix(names.conv_out, config.hidden, config.hidden, &weights.out);
  return weights;
}

Mamba2Weights LoadMamba2(const LayerSource& from) {
  const auto& [fields, architecture, names, config, layer] = from;
  const RecurrentConfig& shape = config.recurrent;
  const int inner = shape.inner();
  Mamba2Weights weights;
  fields.Matrix(names.state_in, inner + shape.convolved() + shape.heads, config.hidden,
                &weights.in);
  LoadTaps(from, names.state_conv, shape.convolved(), &weights.conv);
  fields.Vector(names.state_conv, Presence::kRequired, shape.convolved(), &weights.conv_bias,
                "bias");
  fields.Vector(names.state_dt, Presence::kRequired, shape.heads, &weights.dt_bias, "bias");
  fields.Table(names.state_a, shape.heads, 1, &weights.a, "");
  fields.Table(names.state_d, shape.heads, 1, &weights.d, "");
  fields.Table(names.state_norm, shape.groups, inner / shape.groups, &weights.norm);
  fields.Matrix(names.state_out, config.hidden, inner, &weights.out);
  return weights;
}

FeedForwardWeights LoadFeedForward(const LayerSource& from) {
  const auto& [fields, architecture, names, config, layer] = from;
  const Presence bias = architecture.feed_forward_bias;
  const int inner = layer.feed_forward;
  FeedForwardWeights weights;
  if (architecture.gated && architecture.fused && !fields.Has(names.gate)) {
    const std::array<LayerLoader::Part, 2> parts = {{{inner, &weights.gate}, {inner, &weights.up}}};
    fields.FusedLinear(names.up, bias, config.hidden, parts);
  } else {
    if (architecture.gated) {
      fields.Linear(names.gate, bias, inner, config.hidden, &weights.gate);
    }
    fields.Linear(names.up, bias, inner, config.hidden, &weights.up);
  }
  fields.Linear(names.down, bias, config.hidden, inner, &weights.down);
  return weights;
}

// One of the three matrices of all experts, with their biases.
void LoadOfExperts(const LayerSource& from, std::string_view name, int outputs, int inputs,
                   Linear FeedForwardWeights::*field, ExpertsWeights* out) {
  std::vector<std::unique_ptr<Matrix>> matrices;
  std::vector<std::vector<float>> biases;
  const int count = from.config.experts.count;
  from.fields.Matrices(name, count, outputs, inputs, &matrices);
  from.fields.Vectors(name, "bias", from.architecture.experts_bias, count, outputs, &biases);
  out->experts.resize(static_cast<size_t>(count));
  for (size_t i = 0; i < out->experts.size(); ++i) {
    (out->experts[i].*field) = {std::move(matrices[i]), std::move(biases[i])};
  }
}

ExpertsWeights LoadExperts(const LayerSource& from) {
  const auto& [fields, architecture, names, config, layer] = from;
  const ExpertsConfig& experts = config.experts;
  const int hidden = config.hidden;
  const int inner = experts.feed_forward;
  ExpertsWeights weights;
  fields.Linear(names.router, architecture.experts_bias, experts.count, hidden, &weights.router);
  fields.Vector(names.choice_bias, Presence::kOptional, experts.count, &weights.choice_bias,
                "bias");
  LoadOfExperts(from, names.gate_experts, inner, hidden, &FeedForwardWeights::gate, &weights);
  LoadOfExperts(from, names.up_experts, inner, hidden, &FeedForwardWeights::up, &weights);
  LoadOfExperts(from, names.down_experts, hidden, inner, &FeedForwardWeights::down, &weights);
  for (const FeedForwardWeights& expert : weights.experts) {
    weights.matrices.push_back(expert.Matrices(architecture.activation));
  }
  if (const int shared = experts.shared_feed_forward; shared > 0) {
    fields.Vector(names.shared_router, Presence::kOptional, hidden, &weights.shared_router);
    fields.Matrix(names.shared_gate, shared, hidden, &weights.shared.gate);
    fields.Matrix(names.shared_up, shared, hidden, &weights.shared.up);
    fields.Matrix(names.shared_down, hidden, shared, &weights.shared.down);
  }
  return weights;
}

}  // namespace

Result<LayerWeights> LoadLayer(WeightLoader& loader, const Architecture& architecture,
                               const ModelConfig& config, int layer) {
  LayerLoader fields(loader, layer);
  const TensorNames& names = architecture.names;
  const LayerConfig& shape = config.layer[static_cast<size_t>(layer)];
  const LayerSource from = {fields, architecture, names, config, shape};
  LayerWeights weights;
  LoadNorm(from, names.mixer_norm, architecture.mixer_norm, &weights.mixer_norm);
  switch (shape.mixer) {
    case Mixer::kNone:
      break;
    case Mixer::kAttention:
      weights.mixer = LoadAttention(from);
      break;
    case Mixer::kLatentAttention:
      weights.mixer = LoadLatentAttention(from);
      break;
    case Mixer::kShortConv:
      weights.mixer = LoadShortConv(from);
      break;
    case Mixer::kMamba2:
      weights.mixer = LoadMamba2(from);
      break;
  }
  LoadNorm(from, names.mixer_post_norm, architecture.mixer_post_norm, &weights.mixer_post_norm);
  LoadNorm(from, names.feed_forward_norm, architecture.feed_forward_norm,
           &weights.feed_forward_norm);
  switch (shape.feed_forward_kind) {
    case FeedForwardKind::kNone:
      break;
    case FeedForwardKind::kDense:
      weights.feed_forward = LoadFeedForward(from);
      break;
    case FeedForwardKind::kExperts:
      weights.feed_forward = LoadExperts(from);
      break;
  }
  LoadNorm(from, names.feed_forward_post_norm, architecture.feed_forward_post_norm,
           &weights.feed_forward_post_norm);
  if (!fields.status()) return std::unexpected(fields.status().error());
  return weights;
}

}  // namespace reprise
