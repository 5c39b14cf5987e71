#pragma once

// Takes tensors out of a file one by one, checks type and shape, packs them, and remembers which
// were taken: a tensor that nobody took would be left out of the model. One thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kernels/operations.h"
#include "model/architecture.h"
#include "model/gguf.h"

namespace reprise {

// y = x · weightᵀ + bias.
struct Linear {
  std::unique_ptr<Matrix> weight;  // [outputs, inputs]; null: absent
  std::vector<float> bias;         // [outputs], or empty
};

class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, Operations& operations,
               const std::function<void(double)>& progress);

  const GgufFile& file() const { return file_; }
  size_t resident_bytes() const { return resident_bytes_; }  // of what was read so far

  // The tensor `name` if it is there; with kRequired an error if it is not. `shape` is innermost
  // first; a dimension of 0 is any.
  Result<const GgufTensor*> Take(const std::string& name, Presence presence,
                                 const std::vector<uint64_t>& shape);
  // A vector in f32. Empty where an optional one is absent.
  Result<std::vector<float>> Vector(const std::string& name, Presence presence, int elements);
  // All elements of a tensor that was taken, in f32.
  std::vector<float> Expand(const GgufTensor& tensor);
  // A packed matrix. Null where an optional one is absent.
  Result<std::unique_ptr<Matrix>> Pack(const std::string& name, Presence presence, int64_t rows,
                                       int64_t columns);
  // Rows first .. first + rows - 1 of a tensor that was taken, of any number of dimensions.
  Result<std::unique_ptr<Matrix>> PackRows(const GgufTensor& tensor, int64_t first, int64_t rows);

  // The first tensor that nothing took.
  Status CheckAllTaken(std::string_view architecture) const;

 private:
  void Advance(size_t file_bytes, size_t resident_bytes);

  const GgufFile& file_;
  Operations& operations_;
  const std::function<void(double)>& progress_;
  std::set<std::string_view> taken_;
  size_t total_bytes_ = 0;
  size_t done_bytes_ = 0;
  size_t resident_bytes_ = 0;
};

// Fills one layer's fields one after another; after the first error does nothing more. In names
// `{}` is the layer; a suffix follows it, or none.
class LayerLoader {
 public:
  LayerLoader(WeightLoader& loader, int layer) : loader_(loader), layer_(layer) {}

  const Status& status() const { return status_; }
  bool Has(std::string_view name) const;

  void Vector(std::string_view name, Presence presence, int elements, std::vector<float>* out,
              std::string_view suffix = "weight");
  // All of [outer, inner].
  void Table(std::string_view name, int outer, int inner, std::vector<float>* out,
             std::string_view suffix = "weight");
  void Matrix(std::string_view name, int outputs, int inputs, Linear* out);
  void Linear(std::string_view name, Presence bias, int outputs, int inputs, reprise::Linear* out);
  // One tensor whose rows are those of several, one behind the other.
  struct Part {
    int outputs;
    reprise::Linear* out;
  };
  void FusedLinear(std::string_view name, Presence bias, int inputs, std::span<const Part> parts);
  // count × [outputs, inputs], as one tensor of three dimensions.
  void Matrices(std::string_view name, int count, int outputs, int inputs,
                std::vector<std::unique_ptr<reprise::Matrix>>* out);
  // count × [elements], as one tensor of two dimensions.
  void Vectors(std::string_view name, std::string_view suffix, Presence presence, int count,
               int elements, std::vector<std::vector<float>>* out);

 private:
  std::string Name(std::string_view pattern, std::string_view suffix) const;
  template <typename T>
  void Keep(Result<T> value, T* out);

  WeightLoader& loader_;
  int layer_;
  Status status_;
};

}  // namespace reprise
