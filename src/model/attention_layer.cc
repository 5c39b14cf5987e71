#include "model/attention_layer.h"

#include <cmath>

namespace reprise {

void AttentionLayer::Reserve(int rows) {
  kept_.Reserve(ElementCount(rows, config_.hidden));
  query_.Reserve(ElementCount(rows, config_.heads * config_.head_dim));
  key_.Reserve(ElementCount(rows, config_.kv_heads * config_.head_dim));
  value_.Reserve(ElementCount(rows, config_.kv_heads * config_.value_dim));
  attended_.Reserve(ElementCount(rows, config_.heads * config_.value_dim));
}

void AttentionLayer::Run(const LayerConfig& layer, const AttentionWeights& weights, const float* x,
                         const LayerRows& rows, float* out) {
  const int all = rows.all.count;
  const int wanted = rows.wanted.count;
  const Product key = {weights.key, key_.data()};
  const Product value = {weights.value, value_.data()};
  const Product query = {weights.query, query_.data()};
  if (!rows.trimmed()) {
    Multiply(x, all, {key, value, query});
  } else {
    Multiply(x, all, {key, value});
    TakeRows(x, config_.hidden, rows.kept, kept_.data());
    if (wanted > 0) Multiply(kept_.data(), wanted, {query});
  }
  NormalizeHeads(weights.key_norm, config_.kv_heads, all, key_.data());
  Turn(layer, config_.kv_heads, rows.all, key_.data());
  operations_.StoreKv(kv_layout_, layer.kv_layer, key_.data(), value_.data(), rows.all.sequences);
  if (wanted == 0) return;

  NormalizeHeads(weights.query_norm, config_.heads, wanted, query_.data());
  Turn(layer, config_.heads, rows.wanted, query_.data());
  if (config_.query_growth > 0) GrowQueries(rows.wanted);
  const AttentionSpec spec = {.heads = config_.heads,
                              .scale = config_.attention_scale,
                              .window = layer.window,
                              .soft_cap = config_.attention_soft_cap,
                              .sinks = weights.sinks};
  operations_.Attention(kv_layout_, layer.kv_layer, query_.data(), spec, rows.wanted.sequences,
                        attended_.data());
  Multiply(attended_.data(), wanted, {{weights.output, out}});
}

// By the length of its weight, each head by itself or all of a row together (HeadNorm).
void AttentionLayer::NormalizeHeads(const std::vector<float>& weight, int heads, int rows,
                                    float* x) {
  if (weight.empty()) return;
  const bool is_wide = weight.size() != static_cast<size_t>(config_.head_dim);
  RmsNorm(x, is_wide ? rows : rows * heads, weight, x);
}

void AttentionLayer::Turn(const LayerConfig& layer, int heads, const RowSet& rows, float* x) {
  if (layer.rope == LayerConfig::kNoRope) return;
  operations_.Rope(x, rows.count, heads, config_.head_dim,
                   config_.ropes[static_cast<size_t>(layer.rope)], rows.positions);
}

void AttentionLayer::GrowQueries(const RowSet& rows) {
  const int width = config_.heads * config_.head_dim;
  for (int row = 0; row < rows.count; ++row) {
    const int periods = rows.positions[static_cast<size_t>(row)] / config_.query_growth_length;
    if (periods == 0) continue;  // 1 + growth · ln(1) = 1
    const double factor = 1 + static_cast<double>(config_.query_growth) * std::log(1.0 + periods);
    operations_.Scale(query_.data() + ElementCount(row, width), static_cast<float>(factor),
                      static_cast<size_t>(width));
  }
}

}  // namespace reprise
