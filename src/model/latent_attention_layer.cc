#include "model/latent_attention_layer.h"

#include <algorithm>
#include <array>

namespace reprise {
namespace {

// to[rows][to_stride], of each row `count` elements from from[rows][from_stride].
void CopyColumns(const float* from, int from_stride, int rows, int count, float* to,
                 int to_stride) {
  for (int row = 0; row < rows; ++row) {
    std::copy_n(from + ElementCount(row, from_stride), count, to + ElementCount(row, to_stride));
  }
}

void MultiplyOne(Operations& operations, const float* x, int rows, const Matrix& matrix, float* y) {
  const std::array<const Matrix*, 1> matrices = {&matrix};
  const std::array<float*, 1> ys = {y};
  operations.MatMul(x, rows, matrices, ys);
}

}  // namespace

void LatentAttentionLayer::Reserve(int rows) {
  const LatentConfig& latent = config_.latent;
  const int heads = config_.heads;
  const int key = latent.rank + latent.rope;
  kept_.Reserve(ElementCount(rows, config_.hidden));
  low_.Reserve(ElementCount(rows, latent.query_rank));
  raw_.Reserve(ElementCount(rows, std::max(heads * (latent.nope + latent.rope), key)));
  turned_.Reserve(ElementCount(rows, heads * latent.rope));
  key_.Reserve(ElementCount(rows, key));
  value_.Reserve(ElementCount(rows, latent.rank));
  query_.Reserve(ElementCount(rows, heads * key));
  attended_.Reserve(ElementCount(rows, heads * latent.rank));
  for (FloatBuffer* buffer : {&one_, &other_}) {
    buffer->Reserve(ElementCount(rows, std::max({latent.rank, latent.nope, latent.value})));
  }
  values_.Reserve(ElementCount(rows, heads * latent.value));
}

void LatentAttentionLayer::Run(const LayerConfig& layer, const LatentAttentionWeights& weights,
                               const float* x, const LayerRows& rows, float* out) {
  StoreLatent(layer, weights, x, rows.all);
  const int wanted = rows.wanted.count;
  if (wanted == 0) return;
  if (rows.trimmed()) {
    TakeRows(x, config_.hidden, rows.kept, kept_.data());
    x = kept_.data();
  }
  Queries(layer, weights, x, rows.wanted);
  const AttentionSpec spec = {.heads = config_.heads, .scale = config_.attention_scale};
  operations_.Attention(kv_layout_, layer.kv_layer, query_.data(), spec, rows.wanted.sequences,
                        attended_.data());

  const LatentConfig& latent = config_.latent;
  for (int head = 0; head < config_.heads; ++head) {
    CopyColumns(attended_.data() + head * latent.rank, config_.heads * latent.rank, wanted,
                latent.rank, one_.data(), latent.rank);
    MultiplyOne(operations_, one_.data(), wanted, *weights.value_up[static_cast<size_t>(head)],
                other_.data());
    CopyColumns(other_.data(), latent.value, wanted, latent.value,
                values_.data() + head * latent.value, config_.heads * latent.value);
  }
  Multiply(values_.data(), wanted, {{weights.output, out}});
}

void LatentAttentionLayer::StoreLatent(const LayerConfig& layer,
                                       const LatentAttentionWeights& weights, const float* x,
                                       const RowSet& rows) {
  const LatentConfig& latent = config_.latent;
  const int key = latent.rank + latent.rope;
  Multiply(x, rows.count, {{weights.latent_down, raw_.data()}});
  CopyColumns(raw_.data(), key, rows.count, latent.rank, value_.data(), latent.rank);
  RmsNorm(value_.data(), rows.count, weights.latent_norm, value_.data());
  CopyColumns(raw_.data() + latent.rank, key, rows.count, latent.rope, turned_.data(), latent.rope);
  operations_.Rope(turned_.data(), rows.count, 1, latent.rope,
                   config_.ropes[static_cast<size_t>(layer.rope)], rows.positions);
  CopyColumns(value_.data(), latent.rank, rows.count, latent.rank, key_.data(), key);
  CopyColumns(turned_.data(), latent.rope, rows.count, latent.rope, key_.data() + latent.rank, key);
  operations_.StoreKv(kv_layout_, layer.kv_layer, key_.data(), value_.data(), rows.sequences);
}

void LatentAttentionLayer::Queries(const LayerConfig& layer, const LatentAttentionWeights& weights,
                                   const float* x, const RowSet& rows) {
  const LatentConfig& latent = config_.latent;
  const int heads = config_.heads;
  const int head = latent.nope + latent.rope;
  const int key = latent.rank + latent.rope;
  if (weights.query_down.weight != nullptr) {
    Multiply(x, rows.count, {{weights.query_down, low_.data()}});
    RmsNorm(low_.data(), rows.count, weights.query_down_norm, low_.data());
    x = low_.data();
  }
  Multiply(x, rows.count, {{weights.query_up, raw_.data()}});
  CopyColumns(raw_.data() + latent.nope, head, rows.count * heads, latent.rope, turned_.data(),
              latent.rope);
  operations_.Rope(turned_.data(), rows.count, heads, latent.rope,
                   config_.ropes[static_cast<size_t>(layer.rope)], rows.positions);
  CopyColumns(turned_.data(), latent.rope, rows.count * heads, latent.rope,
              query_.data() + latent.rank, key);
  for (int h = 0; h < heads; ++h) {
    CopyColumns(raw_.data() + h * head, heads * head, rows.count, latent.nope, one_.data(),
                latent.nope);
    MultiplyOne(operations_, one_.data(), rows.count, *weights.key_up[static_cast<size_t>(h)],
                other_.data());
    CopyColumns(other_.data(), latent.rank, rows.count, latent.rank, query_.data() + h * key,
                heads * key);
  }
}

}  // namespace reprise
