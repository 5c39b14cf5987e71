#pragma once

// Attention with K and V for each position: products to q, K and V, norms of their heads, rotary
// embedding, storing, attention, product back. Owned by the engine thread.

#include "model/sublayer.h"

namespace reprise {

class AttentionLayer : Sublayer {
 public:
  using Sublayer::Sublayer;

  void Reserve(int rows);
  // out[rows.wanted.count, hidden] from x[rows.all.count, hidden], normed. K and V of all rows are
  // stored.
  void Run(const LayerConfig& layer, const AttentionWeights& weights, const float* x,
           const LayerRows& rows, float* out);

 private:
  void NormalizeHeads(const std::vector<float>& weight, int heads, int rows, float* x);
  void Turn(const LayerConfig& layer, int heads, const RowSet& rows, float* x);
  void GrowQueries(const RowSet& rows);

  FloatBuffer kept_;         // [wanted, hidden]
  FloatBuffer query_;        // [rows, heads, head_dim]
  FloatBuffer key_, value_;  // [rows, kv_heads, head_dim and value_dim]
  FloatBuffer attended_;     // [rows, heads, value_dim]
};

}  // namespace reprise
