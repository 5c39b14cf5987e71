#include "model/sublayer.h"

#include <array>
#include <span>

#include "base/check.h"

namespace reprise {

void Sublayer::Multiply(const float* x, int rows, std::initializer_list<Product> products) {
  std::array<const Matrix*, 4> matrices = {};
  std::array<float*, 4> ys = {};
  CHECK(products.size() <= matrices.size(), "few products share an input");
  size_t count = 0;
  for (const Product& product : products) {
    matrices[count] = product.linear.weight.get();
    ys[count++] = product.y;
  }
  operations_.MatMul(x, rows, std::span(matrices).first(count), std::span(ys).first(count));
  for (const Product& product : products) {
    const std::vector<float>& bias = product.linear.bias;
    for (int row = 0; row < rows && !bias.empty(); ++row) {
      operations_.Add(product.y + static_cast<size_t>(row) * bias.size(), bias.data(), bias.size());
    }
  }
}

void Sublayer::RmsNorm(const float* x, int rows, const std::vector<float>& weight, float* out) {
  operations_.RmsNorm(x, rows, static_cast<int>(weight.size()), weight.data(), config_.norm_epsilon,
                      out);
}

}  // namespace reprise
