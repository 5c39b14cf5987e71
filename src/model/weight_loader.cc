#include "model/weight_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace reprise {
namespace {

std::string ShapeText(const std::vector<uint64_t>& dimensions) {
  return fmt::format("[{}]", fmt::join(dimensions, ", "));
}

uint64_t Size(int number) { return static_cast<uint64_t>(number); }

}  // namespace

WeightLoader::WeightLoader(const GgufFile& file, Operations& operations,
                           const std::function<void(double)>& progress)
    : file_(file), operations_(operations), progress_(progress) {
  for (const GgufTensor& tensor : file.tensors()) total_bytes_ += tensor.data.size();
}

Result<const GgufTensor*> WeightLoader::Take(const std::string& name, Presence presence,
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

Result<std::vector<float>> WeightLoader::Vector(const std::string& name, Presence presence,
                                                int elements) {
  const Result<const GgufTensor*> tensor = Take(name, presence, {Size(elements)});
  if (!tensor) return std::unexpected(tensor.error());
  if (*tensor == nullptr) return std::vector<float>();
  return Expand(**tensor);
}

std::vector<float> WeightLoader::Expand(const GgufTensor& tensor) {
  uint64_t elements = 1;
  for (const uint64_t dimension : tensor.dimensions) elements *= dimension;
  std::vector<float> values(elements);
  Dequantize(static_cast<WeightType>(tensor.type), tensor.data.data(), elements, values.data());
  Advance(tensor.data.size(), elements * sizeof(float));
  return values;
}

Result<std::unique_ptr<Matrix>> WeightLoader::Pack(const std::string& name, Presence presence,
                                                   int64_t rows, int64_t columns) {
  const Result<const GgufTensor*> tensor =
      Take(name, presence, {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)});
  if (!tensor) return std::unexpected(tensor.error());
  if (*tensor == nullptr) return std::unique_ptr<Matrix>();
  return PackRows(**tensor, 0, static_cast<int64_t>((*tensor)->dimensions[1]));
}

Result<std::unique_ptr<Matrix>> WeightLoader::PackRows(const GgufTensor& tensor, int64_t first,
                                                       int64_t rows) {
  uint64_t all_rows = 1;
  for (size_t i = 1; i < tensor.dimensions.size(); ++i) all_rows *= tensor.dimensions[i];
  const size_t row_bytes = tensor.data.size() / all_rows;
  Result<std::unique_ptr<Matrix>> matrix =
      operations_.Pack({.type = static_cast<WeightType>(tensor.type),
                        .data = tensor.data.data() + static_cast<size_t>(first) * row_bytes,
                        .rows = rows,
                        .columns = static_cast<int64_t>(tensor.dimensions[0])});
  if (!matrix) {
    return Fail(matrix.error().code,
                fmt::format("the tensor '{}': {}", tensor.name, matrix.error().message));
  }
  Advance(static_cast<size_t>(rows) * row_bytes, (*matrix)->bytes());
  return matrix;
}

Status WeightLoader::CheckAllTaken(std::string_view architecture) const {
  for (const GgufTensor& tensor : file_.tensors()) {
    if (!taken_.contains(tensor.name)) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("the tensor '{}' is unknown to architecture '{}'", tensor.name,
                              architecture));
    }
  }
  return {};
}

void WeightLoader::Advance(size_t file_bytes, size_t resident_bytes) {
  resident_bytes_ += resident_bytes;
  done_bytes_ += file_bytes;
  if (progress_) progress_(static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_));
}

std::string LayerLoader::Name(std::string_view pattern, std::string_view suffix) const {
  const std::string name = fmt::format(fmt::runtime(pattern), layer_);
  return suffix.empty() ? name : fmt::format("{}.{}", name, suffix);
}

bool LayerLoader::Has(std::string_view name) const {
  return loader_.file().FindTensor(Name(name, "weight")) != nullptr;
}

template <typename T>
void LayerLoader::Keep(Result<T> value, T* out) {
  if (value) {
    *out = std::move(*value);
  } else {
    status_ = std::unexpected(value.error());
  }
}

void LayerLoader::Vector(std::string_view name, Presence presence, int elements,
                         std::vector<float>* out, std::string_view suffix) {
  if (status_) Keep(loader_.Vector(Name(name, suffix), presence, elements), out);
}

void LayerLoader::Table(std::string_view name, int outer, int inner, std::vector<float>* out,
                        std::string_view suffix) {
  const GgufTensor* tensor = nullptr;
  if (status_) {
    Keep(loader_.Take(Name(name, suffix), Presence::kRequired, {Size(inner), Size(outer)}),
         &tensor);
  }
  if (tensor != nullptr) *out = loader_.Expand(*tensor);
}

void LayerLoader::Matrix(std::string_view name, int outputs, int inputs, reprise::Linear* out) {
  Linear(name, Presence::kAbsent, outputs, inputs, out);
}

void LayerLoader::Linear(std::string_view name, Presence bias, int outputs, int inputs,
                         reprise::Linear* out) {
  if (status_) {
    Keep(loader_.Pack(Name(name, "weight"), Presence::kRequired, outputs, inputs), &out->weight);
  }
  if (status_) Keep(loader_.Vector(Name(name, "bias"), bias, outputs), &out->bias);
}

void LayerLoader::FusedLinear(std::string_view name, Presence bias, int inputs,
                              std::span<const Part> parts) {
  int outputs = 0;
  for (const Part& part : parts) outputs += part.outputs;
  const GgufTensor* tensor = nullptr;
  std::vector<float> biases;
  if (status_) {
    Keep(loader_.Take(Name(name, "weight"), Presence::kRequired, {Size(inputs), Size(outputs)}),
         &tensor);
  }
  if (status_) Keep(loader_.Vector(Name(name, "bias"), bias, outputs), &biases);
  int first = 0;
  for (const Part& part : parts) {
    if (!status_) return;
    Keep(loader_.PackRows(*tensor, first, part.outputs), &part.out->weight);
    if (!biases.empty()) {
      part.out->bias.assign(biases.begin() + first, biases.begin() + first + part.outputs);
    }
    first += part.outputs;
  }
}

void LayerLoader::Matrices(std::string_view name, int count, int outputs, int inputs,
                           std::vector<std::unique_ptr<reprise::Matrix>>* out) {
  const GgufTensor* tensor = nullptr;
  if (status_) {
    Keep(loader_.Take(Name(name, "weight"), Presence::kRequired,
                      {Size(inputs), Size(outputs), Size(count)}),
         &tensor);
  }
  out->resize(Size(count));
  for (int i = 0; i < count && status_; ++i) {
    Keep(loader_.PackRows(*tensor, int64_t{i} * outputs, outputs), &(*out)[Size(i)]);
  }
}

void LayerLoader::Vectors(std::string_view name, std::string_view suffix, Presence presence,
                          int count, int elements, std::vector<std::vector<float>>* out) {
  const GgufTensor* tensor = nullptr;
  if (status_) {
    Keep(loader_.Take(Name(name, suffix), presence, {Size(elements), Size(count)}), &tensor);
  }
  out->resize(Size(count));
  if (tensor == nullptr) return;
  const std::vector<float> all = loader_.Expand(*tensor);
  for (size_t i = 0; i < out->size(); ++i) {
    const auto first = all.begin() + static_cast<ptrdiff_t>(i * Size(elements));
    (*out)[i].assign(first, first + elements);
  }
}

}  // namespace reprise
