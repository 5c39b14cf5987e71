#pragma once

// The forward pass of every decoder-only transformer of the architecture table:
//
//   x = embedding[token]
//   each layer:  x += output · attention(rope(q), rope(k), v)  with q, k, v from norm(x)
//                x += down · (silu(gate) * up)                 with gate, up from norm(x)
//   logits = output_matrix · norm(x)
//
// (Llama 2, arXiv 2307.09288, section 2.2.) In the last layer, rows whose logits nobody wants end
// once their K and V are stored; by the exactness of Operations this changes no bit of the others.
//
// Owned by the engine thread.

#include <memory>
#include <span>
#include <vector>

#include "model/architecture.h"
#include "model/float_buffer.h"
#include "model/kv_identity.h"
#include "model/model.h"
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
  explicit Decoder(Parts parts) : parts_(std::move(parts)) {}

  const ModelConfig& config() const override { return parts_.config; }
  const KvLayout& kv_layout() const override { return parts_.kv_layout; }
  size_t weight_bytes() const override { return parts_.weights.bytes(); }
  Sha256 kv_identity(const Sha256& content) const override {
    return KvIdentity(content, parts_.kv_layout, parts_.operations->isa(),
                      parts_.operations->compute());
  }

  using Model::Forward;
  void Forward(const Batch& batch, float* logits, float* hidden) override;

 private:
  // Rows that are computed together: x[count, hidden] with their places in their sequences.
  struct RowSet {
    int count = 0;
    std::vector<int> positions;           // [count]
    std::vector<SequenceSpan> sequences;  // cover the rows in order

    void Clear();
    void Append(const SequenceSpan& sequence, int first, int rows);  // `first` counts within it
  };

  void CheckBatch(const Batch& batch) const;
  void ListRows(const Batch& batch);
  // What is wanted of the wanted rows, which normed_ holds.
  void CopyHidden(std::span<const int> rows, float* hidden) const;
  void ComputeLogits(std::span<const int> rows, float* logits);
  void Reserve(int rows);
  void Embed(std::span<const TokenId> tokens);
  // All of one layer for `wanted`, of `all` (whose rows x holds) at least K and V. Afterwards x
  // holds the rows of `wanted`, which are the rows `kept` of `all`.
  void RunLayer(int layer, const RowSet& all, const RowSet& wanted, std::span<const int> kept);
  void QueryKeyValue(const LayerWeights& weights, const RowSet& all, const RowSet& wanted,
                     std::span<const int> kept);
  void FeedForward(const LayerWeights& weights, int rows);

  void Normalize(const float* x, int rows, const std::vector<float>& weight, float* out);
  void Multiply(const float* x, int rows, std::span<const Linear* const> linears,
                std::span<float* const> ys);
  void AddBias(float* y, int rows, const Linear& linear);
  void AddTo(float* x, const float* y, int rows);

  Parts parts_;
  RowSet all_, wanted_;           // of the current batch
  std::vector<int> wanted_rows_;  // of all_, for logits or hidden states
  int reserved_rows_ = 0;
  FloatBuffer x_;            // [rows, hidden]
  FloatBuffer normed_;       // [rows, hidden]
  FloatBuffer projected_;    // [rows, hidden]
  FloatBuffer query_;        // [rows, heads, head_dim]
  FloatBuffer attended_;     // [rows, heads, head_dim]
  FloatBuffer key_, value_;  // [rows, kv_heads, head_dim]
};

}  // namespace reprise
