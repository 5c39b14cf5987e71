#include "model/weights.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "model/layer_weights.h"

namespace reprise {
namespace {

// The embedding's rows are the vocabulary; the keys that also speak of it must agree.
Status ReadVocabularySize(const GgufFile& file, WeightLoader& loader,
                          const Architecture& architecture, ModelConfig& config) {
  const std::string name = fmt::format("{}.weight", architecture.names.embedding);
  const Result<const GgufTensor*> embedding =
      loader.Take(name, Presence::kRequired, {static_cast<uint64_t>(config.hidden), 0});
  if (!embedding) return std::unexpected(embedding.error());
  const uint64_t rows = (*embedding)->dimensions[1];
  if (rows > static_cast<uint64_t>(limits::kMaxVocabulary)) {
    return Fail(ErrorCode::kTooLarge, fmt::format("a vocabulary of {} tokens, at most {} are read",
                                                  rows, limits::kMaxVocabulary));
  }
  config.vocabulary = static_cast<int>(rows);
  const std::string key = fmt::format("{}.vocab_size", architecture.name);
  const Result<std::optional<int64_t>> said = file.Integer(key);
  if (!said) return std::unexpected(said.error());
  if (*said && **said != config.vocabulary) {
    return Fail(ErrorCode::kCorrupt, fmt::format("the key '{}' is {}, the tensor '{}' has {} rows",
                                                 key, **said, name, rows));
  }
  const GgufFile::Value* tokens = file.Find("tokenizer.ggml.tokens");
  const auto* texts = tokens == nullptr ? nullptr : std::get_if<GgufFile::StringArray>(tokens);
  if (texts != nullptr && texts->size() > rows) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("the tokenizer has {} tokens, the tensor '{}' only {} rows",
                            texts->size(), name, rows));
  }
  return {};
}

double WeightsOf(const Linear& linear) {
  return linear.weight == nullptr ? 0
                                  : static_cast<double>(linear.weight->rows()) *
                                        static_cast<double>(linear.weight->columns());
}

double WeightsOf(const FeedForwardWeights& weights) {
  return WeightsOf(weights.gate) + WeightsOf(weights.up) + WeightsOf(weights.down);
}

// Of one layer, those that one row is multiplied with.
double ActiveWeights(const LayerWeights& layer, const ModelConfig& config) {
  double sum = 0;
  if (const auto* attention = std::get_if<AttentionWeights>(&layer.mixer)) {
    sum += WeightsOf(attention->query) + WeightsOf(attention->key) + WeightsOf(attention->value) +
           WeightsOf(attention->output);
  }
  if (const auto* latent = std::get_if<LatentAttentionWeights>(&layer.mixer)) {
    sum += WeightsOf(latent->query_down) + WeightsOf(latent->query_up) +
           WeightsOf(latent->latent_down) + WeightsOf(latent->output);
    sum += static_cast<double>(config.heads) * config.latent.rank *
           (config.latent.nope + config.latent.value);
  }
  if (const auto* conv = std::get_if<ShortConvWeights>(&layer.mixer)) {
    sum += WeightsOf(conv->in) + WeightsOf(conv->out);
  }
  if (const auto* mamba = std::get_if<Mamba2Weights>(&layer.mixer)) {
    sum += WeightsOf(mamba->in) + WeightsOf(mamba->out);
  }
  if (const auto* dense = std::get_if<FeedForwardWeights>(&layer.feed_forward)) {
    sum += WeightsOf(*dense);
  }
  if (const auto* experts = std::get_if<ExpertsWeights>(&layer.feed_forward)) {
    sum += WeightsOf(experts->router) + WeightsOf(experts->shared) +
           config.experts.chosen * WeightsOf(experts->experts.front());
  }
  return sum;
}

Result<NormWeights> LoadOutputNorm(WeightLoader& loader, const Architecture& architecture,
                                   const ModelConfig& config) {
  const std::string_view name = architecture.names.output_norm;
  NormWeights norm;
  for (const auto& [suffix, presence, out] :
       {std::tuple("weight", Presence::kRequired, &norm.weight),
        std::tuple("bias", architecture.norm_bias, &norm.bias)}) {
    Result<std::vector<float>> values =
        loader.Vector(fmt::format("{}.{}", name, suffix), presence, config.hidden);
    if (!values) return std::unexpected(values.error());
    *out = std::move(*values);
  }
  return norm;
}

// ReadModelConfig has read them.
Status TakeRopeFactors(WeightLoader& loader, const Architecture& architecture) {
  const TensorNames& names = architecture.names;
  const Presence both = architecture.long_rope ? Presence::kOptional : Presence::kAbsent;
  for (const auto& [name, presence] :
       {std::pair(names.rope_factors, architecture.rope_factors),
        std::pair(names.long_rope_factors, both), std::pair(names.short_rope_factors, both)}) {
    const Result<const GgufTensor*> factors =
        loader.Take(fmt::format("{}.weight", name), presence, {0});
    if (!factors) return std::unexpected(factors.error());
  }
  return {};
}

}  // namespace

Result<Weights> LoadWeights(const GgufFile& file, const Architecture& architecture,
                            Operations& operations, const std::function<void(double)>& progress,
                            ModelConfig& config) {
  WeightLoader loader(file, operations, progress);
  if (Status status = ReadVocabularySize(file, loader, architecture, config); !status) {
    return std::unexpected(status.error());
  }
  const TensorNames& names = architecture.names;
  Weights weights;
  const auto pack = [&](std::string_view name, Presence presence) {
    return loader.Pack(fmt::format("{}.weight", name), presence, config.vocabulary, config.hidden);
  };
  Result<std::unique_ptr<Matrix>> embedding = pack(names.embedding, Presence::kRequired);
  if (!embedding) return std::unexpected(embedding.error());
  weights.embedding = std::move(*embedding);
  for (int i = 0; i < config.layers; ++i) {
    Result<LayerWeights> layer = LoadLayer(loader, architecture, config, i);
    if (!layer) return std::unexpected(layer.error());
    config.active_weights += ActiveWeights(*layer, config);
    weights.layers.push_back(std::move(*layer));
  }
  Result<NormWeights> norm = LoadOutputNorm(loader, architecture, config);
  if (!norm) return std::unexpected(norm.error());
  weights.output_norm = std::move(*norm);
  Result<std::unique_ptr<Matrix>> output = pack(names.output, architecture.output);
  if (!output) return std::unexpected(output.error());
  weights.output = std::move(*output);

  if (Status status = TakeRopeFactors(loader, architecture); !status) {
    return std::unexpected(status.error());
  }
  if (Status status = loader.CheckAllTaken(architecture.name); !status) {
    return std::unexpected(status.error());
  }
  weights.bytes = loader.resident_bytes();
  return weights;
}

}  // namespace reprise
