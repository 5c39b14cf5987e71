#pragma once

// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): what is kept of a
// position is one vector of `rank` features, from which K and V of all heads come, and `rope`
// dimensions that turn. K of a head is a product of the latent vector; instead of it, q is
// multiplied by the same matrix (section 2.1.3), so that all heads read one K = [latent, rope] and
// one V = latent. Owned by the engine thread.

#include "model/sublayer.h"

namespace reprise {

class LatentAttentionLayer : Sublayer {
 public:
  using Sublayer::Sublayer;

  void Reserve(int rows);
  // As AttentionLayer::Run.
  void Run(const LayerConfig& layer, const LatentAttentionWeights& weights, const float* x,
           const LayerRows& rows, float* out);

 private:
  void StoreLatent(const LayerConfig& layer, const LatentAttentionWeights& weights, const float* x,
                   const RowSet& rows);
  void Queries(const LayerConfig& layer, const LatentAttentionWeights& weights, const float* x,
               const RowSet& rows);

  FloatBuffer kept_;         // [wanted, hidden]
  FloatBuffer low_;          // [rows, query_rank]
  FloatBuffer raw_;          // [rows, heads, nope + rope], or [rows, rank + rope]
  FloatBuffer turned_;       // [rows, heads, rope]
  FloatBuffer key_, value_;  // [rows, rank + rope], [rows, rank]
  FloatBuffer query_;        // [rows, heads, rank + rope]
  FloatBuffer attended_;     // [rows, heads, rank]
  FloatBuffer one_, other_;  // [rows, rank and what a head has], of one head
  FloatBuffer values_;       // [rows, heads, value]
};

}  // namespace reprise
