#pragma once

// What the parts of a layer share: the configuration, the operations, and products and norms with a
// model's weights. Owned by the engine thread.

#include <initializer_list>

#include "kernels/operations.h"
#include "model/float_buffer.h"
#include "model/model_config.h"
#include "model/row_set.h"
#include "model/weights.h"

namespace reprise {

class Sublayer {
 public:
  Sublayer(const ModelConfig& config, const KvLayout& kv_layout, Operations& operations)
      : config_(config), kv_layout_(kv_layout), operations_(operations) {}

 protected:
  struct Product {
    const Linear& linear;
    float* y;  // [rows, outputs]
  };
  // Each y = x · weightᵀ + bias, of x[rows, inputs] that all share; at most four.
  void Multiply(const float* x, int rows, std::initializer_list<Product> products);
  // out[rows, weight.size()]; out may be x.
  void RmsNorm(const float* x, int rows, const std::vector<float>& weight, float* out);

  const ModelConfig& config_;
  const KvLayout& kv_layout_;
  Operations& operations_;
};

}  // namespace reprise
