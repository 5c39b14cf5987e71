#include "model/weights.h"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/limits.h"

namespace reprise {
namespace {

std::string ShapeText(const std::vector<uint64_t>& dimensions) {
  return fmt::format("[{}]", fmt::join(dimensions, ", "));
}

// Takes tensors out of the file one by one and remembers which were taken.
class Loader {
 public:
  Loader(const GgufFile& file, Operations& operations, const std::function<void(double)>& progress)
      : file_(file), operations_(operations), progress_(progress) {
    for (const GgufTensor& tensor : file.tensors()) total_bytes_ += tensor.data.size();
  }

  // The tensor `name` if it is there; with kRequired an error if it is not. Checks type and shape
  // (innermost first; a dimension of 0 is any).
  Result<const GgufTensor*> Take(const std::string& name, Presence presence,
                                 const std::vector<uint64_t>& shape) {
    const GgufTensor* tensor = presence == Presence::kAbsent ? nullptr : file_.FindTensor(name);
    if (tensor == nullptr) {
      if (presence != Presence::kRequired) return nullptr;
      return Fail(ErrorCode::kCorrupt, fmt::format("the tensor '{}' is missing", name));
    }
    if (Result<WeightBlock> block = WeightBlockOf(tensor->type); !block) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("the tensor '{}': {}", name, block.error().message));
    }
    bool fits = tensor->dimensions.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) {
      fits = shape[i] == 0 || shape[i] == tensor->dimensions[i];
    }
    if (!fits) {
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("the tensor '{}' has the shape {}, the model needs {}", name,
                              ShapeText(tensor->dimensions), ShapeText(shape)));
    }
    taken_.insert(tensor->name);
    return tensor;
  }

  // A vector in f32. Empty where an optional one is absent.
  Result<std::vector<float>> Vector(const std::string& name, Presence presence, int elements) {
    const Result<const GgufTensor*> tensor =
        Take(name, presence, {static_cast<uint64_t>(elements)});
    if (!tensor) return std::unexpected(tensor.error());
    if (*tensor == nullptr) return std::vector<float>();
    std::vector<float> values(static_cast<size_t>(elements));
    Dequantize(static_cast<WeightType>((*tensor)->type), (*tensor)->data.data(), values.size(),
               values.data());
    Advance((*tensor)->data.size());
    return values;
  }

  // A packed matrix. Null where an optional one is absent.
  Result<std::unique_ptr<Matrix>> Pack(const std::string& name, Presence presence, int64_t rows,
                                       int64_t columns) {
    const Result<const GgufTensor*> tensor =
        Take(name, presence, {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)});
    if (!tensor) return std::unexpected(tensor.error());
    if (*tensor == nullptr) return std::unique_ptr<Matrix>();
    Result<std::unique_ptr<Matrix>> matrix =
        operations_.Pack({.type = static_cast<WeightType>((*tensor)->type),
                          .data = (*tensor)->data.data(),
                          .rows = static_cast<int64_t>((*tensor)->dimensions[1]),
                          .columns = columns});
    if (!matrix) {
      return Fail(matrix.error().code,
                  fmt::format("the tensor '{}': {}", name, matrix.error().message));
    }
    Advance((*tensor)->data.size());
    return matrix;
  }

  // The first tensor that nothing took.
  Status CheckAllTaken(std::string_view architecture) const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (!taken_.contains(tensor.name)) {
        return Fail(ErrorCode::kUnsupported,
                    fmt::format("the tensor '{}' is unknown to architecture '{}'", tensor.name,
                                architecture));
      }
    }
    return {};
  }

 private:
  void Advance(size_t bytes) {
    done_bytes_ += bytes;
    if (progress_) progress_(static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_));
  }

  const GgufFile& file_;
  Operations& operations_;
  const std::function<void(double)>& progress_;
  std::set<std::string_view> taken_;
  size_t total_bytes_ = 0;
  size_t done_bytes_ = 0;
};

// Fills a layer's fields one after another; after the first error does nothing more.
class LayerLoader {
 public:
  LayerLoader(Loader& loader, int layer) : loader_(loader), layer_(layer) {}

  const Status& status() const { return status_; }

  void Vector(std::string_view name, int elements, std::vector<float>* out) {
    Keep(status_ ? loader_.Vector(Name(name, "weight"), Presence::kRequired, elements)
                 : std::vector<float>(),
         out);
  }
  void Linear(std::string_view name, Presence bias, int outputs, int inputs, reprise::Linear* out) {
    if (status_) {
      Keep(loader_.Pack(Name(name, "weight"), Presence::kRequired, outputs, inputs), &out->weight);
    }
    if (status_) Keep(loader_.Vector(Name(name, "bias"), bias, outputs), &out->bias);
  }

 private:
  std::string Name(std::string_view pattern, std::string_view suffix) const {
    return fmt::format("{}.{}", fmt::format(fmt::runtime(pattern), layer_), suffix);
  }
  template <typename T>
  void Keep(Result<T> value, T* out) {
    if (value) {
      *out = std::move(*value);
    } else {
      status_ = std::unexpected(value.error());
    }
  }

  Loader& loader_;
  int layer_;
  Status status_;
};

Result<LayerWeights> LoadLayer(Loader& loader, const Architecture& architecture,
                               const ModelConfig& config, int layer) {
  const int query_width = config.heads * config.head_dim;
  const int kv_width = config.kv_heads * config.head_dim;
  const TensorNames& names = architecture.names;
  LayerWeights weights;
  LayerLoader fields(loader, layer);
  fields.Vector(names.attention_norm, config.hidden, &weights.attention_norm);
  const Presence qkv_bias = architecture.query_key_value_bias;
  fields.Linear(names.query, qkv_bias, query_width, config.hidden, &weights.query);
  fields.Linear(names.key, qkv_bias, kv_width, config.hidden, &weights.key);
  fields.Linear(names.value, qkv_bias, kv_width, config.hidden, &weights.value);
  const Presence bias = architecture.other_bias;
  fields.Linear(names.attention_output, bias, config.hidden, query_width,
                &weights.attention_output);
  fields.Vector(names.feed_forward_norm, config.hidden, &weights.feed_forward_norm);
  fields.Linear(names.gate, bias, config.feed_forward, config.hidden, &weights.gate);
  fields.Linear(names.up, bias, config.feed_forward, config.hidden, &weights.up);
  fields.Linear(names.down, bias, config.hidden, config.feed_forward, &weights.down);
  if (!fields.status()) return std::unexpected(fields.status().error());
  return weights;
}

// The embedding's rows are the vocabulary; the keys that also speak of it must agree.
Status ReadVocabularySize(const GgufFile& file, Loader& loader, const Architecture& architecture,
                          ModelConfig& config) {
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

size_t BytesOf(const Linear& linear) {
  return linear.weight->bytes() + linear.bias.size() * sizeof(float);
}

}  // namespace

size_t Weights::bytes() const {
  size_t sum = embedding->bytes() + (output ? output->bytes() : 0);
  sum += output_norm.size() * sizeof(float);
  for (const LayerWeights& layer : layers) {
    for (const Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.attention_output,
                                 &layer.gate, &layer.up, &layer.down}) {
      sum += BytesOf(*linear);
    }
    sum += (layer.attention_norm.size() + layer.feed_forward_norm.size()) * sizeof(float);
  }
  return sum;
}

Result<Weights> LoadWeights(const GgufFile& file, const Architecture& architecture,
                            Operations& operations, const std::function<void(double)>& progress,
                            ModelConfig& config) {
  Loader loader(file, operations, progress);
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
    weights.layers.push_back(std::move(*layer));
  }
  Result<std::vector<float>> norm = loader.Vector(fmt::format("{}.weight", names.output_norm),
                                                  Presence::kRequired, config.hidden);
  if (!norm) return std::unexpected(norm.error());
  weights.output_norm = std::move(*norm);
  Result<std::unique_ptr<Matrix>> output = pack(names.output, architecture.output);
  if (!output) return std::unexpected(output.error());
  weights.output = std::move(*output);

  // ReadModelConfig has read it.
  const Result<const GgufTensor*> factors =
      loader.Take(fmt::format("{}.weight", names.rope_factors), architecture.rope_factors, {0});
  if (!factors) return std::unexpected(factors.error());
  if (Status status = loader.CheckAllTaken(architecture.name); !status) {
    return std::unexpected(status.error());
  }
  return weights;
}

}  // namespace reprise
