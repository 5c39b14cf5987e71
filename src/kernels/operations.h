#pragma once

// The small set of operations that a forward pass is written against: product with a weight matrix,
// attention over block tables, norm, rotary embedding, gated feed-forward. One implementation per
// instruction set (AVX-512 with bf16 and VNNI, AVX-VNNI, AVX2 with FMA, plain C++) and one in plain
// f32 over dequantised weights (Compute::kExact, slow, for tests); a device could be another.
//
// EXACTNESS. For one implementation, each output row depends only on its own input row (and, for
// attention, on its own sequence's K and V up to its position): bit for bit the same result
// whatever the number of rows beside it, the number of threads, the chunk a prompt was cut into.
// Every element is summed in one fixed order; one row takes the same formula in the same order as
// many. Results differ between implementations.
//
// An Operations is immutable but for its scratch: one caller at a time (the engine thread). Work is
// shared among the threads of a pool inside each call. All pointers are row-major f32 unless said.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "kernels/isa.h"
#include "kernels/kv_layout.h"
#include "kernels/recurrent_spec.h"

namespace reprise {

enum class Compute : uint8_t {
  kFast,   // int8 activations on quantised weights, bf16 on BF16/F16/F32 weights; K in int8, V in
           // bf16
  kExact,  // f32 over dequantised weights; K and V in f32
};

// Storage types of GGUF tensors that weights may have; values are the file's own (ggml_type).
enum class WeightType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kIQ1_M = 29,
  kBf16 = 30,
  kMXFP4 = 39,
};

// Elements and bytes of one storage block of `type` (Q4_1: 32 elements in 20 bytes; F32: 1 in 4).
struct WeightBlock {
  int elements;
  int bytes;
};
// kUnsupported for types not listed above, by name and with what to take instead.
Result<WeightBlock> WeightBlockOf(uint32_t ggml_type);
std::string_view WeightTypeName(WeightType type);

// Plain reference: expands `count` elements (a multiple of the type's block) to f32.
// Source of the formats: ggml-quants.c of ggml-org/llama.cpp, as the `gguf` Python package reads
// them.
void Dequantize(WeightType type, const std::byte* data, size_t count, float* out);

// A weight matrix as it lies in the file: [rows, columns] with rows = output features and columns =
// input features; each row is columns/block storage blocks.
struct WeightView {
  WeightType type = WeightType::kF32;
  const std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
};

// Bytes that Compute::kFast packs such a matrix into, known from its shape alone.
size_t PackedBytes(WeightType type, int64_t rows, int64_t columns);

// A weight matrix in an implementation's own packed layout. Owns its storage (the file's pages are
// not needed any more). Immutable.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual int64_t rows() const = 0;
  virtual int64_t columns() const = 0;
  virtual size_t bytes() const = 0;  // resident
  // out[columns] = row `row` in f32, as used by the products.
  virtual void DequantizeRow(int64_t row, float* out) const = 0;
};

// What a feed-forward layer does between its products (Shazeer, arXiv 2002.05202).
enum class Activation : uint8_t {
  kSilu,         // g / (1 + e^-g)
  kGelu,         // g/2 (1 + tanh(√(2/π) (g + 0.044715 g³))), as gelu_pytorch_tanh
  kRelu2,        // max(g, 0)²
  kClampedSilu,  // gpt-oss: g ≤ 7, |u| ≤ 7: g / (1 + e^(-1.702 g)) · (u + 1)
};

// The matrices of a feed-forward layer: gate and up [inner, columns], down [outputs, inner]; a
// bias [inner] or empty. Without a gate, `up` is what is activated, and not by kClampedSilu.
struct GatedMatrices {
  Activation activation = Activation::kSilu;
  const Matrix* gate = nullptr;  // or null
  const Matrix* up = nullptr;
  const Matrix* down = nullptr;
  std::span<const float> gate_bias = {};
  std::span<const float> up_bias = {};
  std::span<const float> down_bias = {};  // [outputs] or empty
};

// One of the experts that a row goes to, and its share in the result.
struct ExpertChoice {
  int expert = 0;
  float weight = 0;
};

// The rows of one sequence inside a batch: rows first_row .. first_row+rows-1 are its tokens at
// positions first_position .. first_position+rows-1. blocks[i] holds positions
// i*block_tokens .. (i+1)*block_tokens-1 and must exist up to the last position.
struct SequenceSpan {
  int first_row = 0;
  int rows = 0;
  int first_position = 0;
  std::span<std::byte* const> blocks;
  // Of models with recurrent layers: Model::state_bytes() that stand for all positions before
  // first_position (zeros before position 0), and afterwards for those up to the span's last row.
  std::byte* state = nullptr;
};

// Rotary embedding: inverse frequencies [rotary_dim / 2], already scaled (Llama 3 kind or none).
enum class RopePairing : uint8_t {
  kAdjacent,  // pairs (2i, 2i+1): GGUF architecture `llama`
  kHalves,    // pairs (i, i + rotary_dim/2): `qwen2` and others
};
struct RopeTable {
  std::vector<float> inverse_frequencies;
  RopePairing pairing = RopePairing::kAdjacent;
  float attention_factor = 1.0F;
};

// What the attention of a layer is, beyond q, K and V.
struct AttentionSpec {
  int heads = 0;  // of q
  float scale = 1.0F;
  int window = 0;      // positions that a row sees, its own among them; 0: all
  float soft_cap = 0;  // cap · tanh(scale · score / cap) instead of scale · score; 0: none
  // A logit for each query head that takes part in the softmax and has no value ("sink"); or empty.
  std::span<const float> sinks = {};
};

class Operations {
 public:
  virtual ~Operations() = default;

  virtual Isa isa() const = 0;
  virtual Compute compute() const = 0;
  virtual KvEncoding kv_encoding() const = 0;

  // Repacks a weight (in parallel). REQUIRES: columns a multiple of the type's block.
  // kUnsupported for a shape or type that this implementation cannot take.
  virtual Result<std::unique_ptr<Matrix>> Pack(const WeightView& weight) = 0;

  // ys[i][rows, ws[i]->rows()] = x[rows, columns] · ws[i]ᵀ for each i; all ws have `columns`
  // columns and came from this Operations' Pack. x is quantised once for all of them.
  virtual void MatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                      std::span<float* const> ys) = 0;

  // y[rows, ws.down->rows()] = (act(x·gateᵀ + gate_bias) * (x·upᵀ + up_bias)) · downᵀ + down_bias,
  // of x[rows, columns] and matrices of this Operations' Pack: the bits of its steps one by one.
  virtual void GatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y) = 0;

  // Mixture of experts (Shazeer et al., arXiv 1701.06538): y[row] = Σ_j weight_j · expert_j(x[row])
  // over the row's choices choices[row · k + j], j < k = choices.size() / rows, in ascending j,
  // with expert_j a GatedMatMul by experts[choice.expert], summed from 0, products and sums rounded
  // one by one. Rows that chose the same expert are multiplied together; a row's bits do not depend
  // on them. REQUIRES: the experts have equal shapes.
  virtual void ExpertsMatMul(const float* x, int rows, std::span<const GatedMatrices> experts,
                             std::span<const ExpertChoice> choices, float* y) = 0;

  // out[rows, columns] = x / sqrt(mean(x²) + epsilon) * weight[columns]. out may be x.
  virtual void RmsNorm(const float* x, int rows, int columns, const float* weight, float epsilon,
                       float* out) = 0;

  // out[rows, columns] = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight[columns] +
  // bias[columns] (Ba et al., arXiv 1607.06450); `bias` may be null, out may be x.
  virtual void LayerNorm(const float* x, int rows, int columns, const float* weight,
                         const float* bias, float epsilon, float* out) = 0;

  // Rotates x[rows, heads, head_dim] in place; row r is at positions[r]. Only the first
  // 2 * inverse_frequencies.size() dimensions of each head turn.
  virtual void Rope(float* x, int rows, int heads, int head_dim, const RopeTable& table,
                    std::span<const int> positions) = 0;

  // x[i] += y[i], i < count.
  virtual void Add(float* x, const float* y, size_t count) = 0;
  // x[i] *= factor.
  virtual void Scale(float* x, float factor, size_t count) = 0;
  // x[i] = cap · tanh(x[i] / cap).
  virtual void SoftCap(float* x, float cap, size_t count) = 0;

  // Writes k [rows, kv_heads, key_dim] and v [rows, kv_heads, value_dim] of the spans' rows into
  // their blocks, layer `layer`.
  virtual void StoreKv(const KvLayout& layout, int layer, const float* k, const float* v,
                       std::span<const SequenceSpan> sequences) = 0;

  // out[rows, heads, value_dim] = softmax(scale · q Kᵀ) V of q[rows, heads, key_dim], causal: the
  // row at position p sees positions 0..p of its own sequence, or the last `window` of them. Query
  // head h reads KV head h / (heads / kv_heads).
  // REQUIRES: K and V of all those positions are stored; the rest of the last block is finite.
  virtual void Attention(const KvLayout& layout, int layer, const float* q,
                         const AttentionSpec& spec, std::span<const SequenceSpan> sequences,
                         float* out) = 0;

  // Operations that carry a state along each sequence (formulas, shapes: recurrent_spec.h). The
  // states of a layer lie at `state_offset` (a multiple of 4) in the spans' states; the sequences
  // of a call have different ones. Rows of a sequence are taken in order, each by itself: a prompt
  // cut into chunks gives the same bits. REQUIRES: out is none of the inputs. out[rows, channels].
  virtual void ShortConv(const ShortConvSpec& spec, const ShortConvRows& rows,
                         std::span<const SequenceSpan> sequences, size_t state_offset,
                         float* out) = 0;
  // out[rows, heads, head_dim].
  virtual void Mamba2Scan(const Mamba2Spec& spec, const Mamba2Rows& rows,
                          std::span<const SequenceSpan> sequences, size_t state_offset,
                          float* out) = 0;
  // out[rows, groups, columns] of x and gate of the same shape; out may be x.
  virtual void GatedRmsNorm(const GatedNormSpec& spec, const float* x, const RowsView& gate,
                            int rows, float* out) = 0;
};

// threads ≤ 0: DefaultThreads(). kUnsupported when the CPU lacks `isa`.
Result<std::unique_ptr<Operations>> MakeOperations(Isa isa, Compute compute, int threads);

}  // namespace reprise
