#pragma once

// The forward pass of every decoder-only transformer of the architecture table:
//
//   x = embedding[token] · embedding_scale
//   each layer:  x += residual_scale · post_norm(mixer(norm(x)))
//                x += residual_scale · post_norm(feed_forward(norm(x)))
//   logits = soft_cap(output_matrix · norm(x) · logit_scale)
//
// where a family has only some of the norms, or both sublayers read one norm (parallel). (Llama 2,
// arXiv 2307.09288, section 2.2; Gemma 2, arXiv 2408.00118, for norms behind and caps.) In the last
// layer, rows whose logits nobody wants end once what later positions read of them is stored.
//
// Owned by the engine thread.

#include <memory>
#include <span>
#include <vector>

#include "model/architecture.h"
#include "model/attention_layer.h"
#include "model/feed_forward_layer.h"
#include "model/float_buffer.h"
#include "model/latent_attention_layer.h"
#include "model/mamba2_layer.h"
#include "model/model.h"
#include "model/row_set.h"
#include "model/short_conv_layer.h"
#include "model/weights.h"

namespace reprise {

class Decoder final : public Model {
 public:
  struct Parts {
    const Architecture* architecture;
    ModelConfig config;
    KvLayout kv_layout;
    std::unique_ptr<Operations> operations;
    Weights weights;
  };
  explicit Decoder(Parts parts);

  const ModelConfig& config() const override { return parts_.config; }
  const KvLayout& kv_layout() const override { return parts_.kv_layout; }
  size_t weight_bytes() const override { return parts_.weights.bytes; }
  Sha256 kv_identity(const Sha256& content) const override;

  using Model::Forward;
  void Forward(const Batch& batch, float* logits, float* hidden) override;

 private:
  void CheckBatch(const Batch& batch) const;
  void ListRows(const Batch& batch);
  // What is wanted of the wanted rows, which normed_ holds.
  void CopyHidden(std::span<const int> rows, float* hidden) const;
  void ComputeLogits(std::span<const int> rows, float* logits);
  void Reserve(int rows);
  void Embed(std::span<const TokenId> tokens);
  // All of one layer for the wanted rows, of all (which x_ holds) at least what later positions
  // read. Afterwards x_ holds the wanted rows.
  void RunLayer(size_t layer, const LayerRows& rows);
  void Mix(const LayerConfig& layer, const LayerWeights& weights, const float* x,
           const LayerRows& rows);
  void FeedForward(const LayerWeights& weights, const float* x, int rows);

  // out[rows, hidden] = norm(x), which may be out; x itself where there is no norm.
  const float* Normalize(const NormWeights& norm, const float* x, int rows, float* out);
  // x_ += residual_scale · post_norm(added_).
  void AddToX(const NormWeights& post_norm, int rows);

  Parts parts_;
  AttentionLayer attention_;
  LatentAttentionLayer latent_attention_;
  ShortConvLayer short_conv_;
  Mamba2Layer mamba2_;
  FeedForwardLayer feed_forward_;
  RowSet all_, wanted_;           // of the current batch
  std::vector<int> wanted_rows_;  // of all_, for logits or hidden states
  int reserved_rows_ = 0;
  FloatBuffer x_;       // [rows, hidden]
  FloatBuffer normed_;  // [rows, hidden]
  FloatBuffer added_;   // [rows, hidden], what a sublayer adds
};

}  // namespace reprise
