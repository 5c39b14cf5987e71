#include "kernels/operations.h"

#include <fmt/format.h>

#include "base/cpus.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/experts_driver.h"
#include "kernels/product_driver.h"
#include "kernels/recurrent.h"

namespace reprise {
namespace {

// What differs between instruction sets and between kFast and kExact.
struct KernelTable {
  const ProductKernels& product;
  const ElementwiseKernels& elementwise;
  const StateKernels& state;
  decltype(&plain::Attention) attention;
};

KernelTable FastKernels(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
      return {amx::kProduct, avx512::kElementwise, avx512::kState, amx::Attention};
    case Isa::kAmxEmulated:
      return {amx::kEmulatedProduct, avx512::kElementwise, avx512::kState, amx::EmulatedAttention};
    case Isa::kAvx512:
      return {avx512::kProduct, avx512::kElementwise, avx512::kState, avx512::Attention};
    case Isa::kAvxVnni:
      return {avx_vnni::kProduct, avx2::kElementwise, avx2::kState, avx_vnni::Attention};
    case Isa::kAvx2:
      return {avx2::kProduct, avx2::kElementwise, avx2::kState, avx2::Attention};
    case Isa::kPlain:
      break;
  }
  return {plain::kProduct, plain::kElementwise, plain::kState, plain::Attention};
}

KernelTable KernelTableOf(Isa isa, Compute compute) {
  const KernelTable fast = FastKernels(isa);
  if (compute == Compute::kFast) return fast;
  return {fast.product, plain::kElementwise, fast.state, exact::Attention};
}

class TableOperations final : public Operations {
 public:
  TableOperations(Isa isa, Compute compute, int threads)
      : isa_(isa),
        compute_(compute),
        table_(KernelTableOf(isa, compute)),
        pool_(threads),
        product_(table_.product, table_.elementwise, compute, pool_),
        experts_(table_.product, table_.elementwise, compute, pool_, product_),
        attention_scratch_(pool_) {}

  Isa isa() const override { return isa_; }
  Compute compute() const override { return compute_; }
  KvEncoding kv_encoding() const override {
    return compute_ == Compute::kExact ? KvEncoding::kExact : KvEncoding::kFast;
  }

  Result<std::unique_ptr<Matrix>> Pack(const WeightView& weight) override {
    return product_.Pack(weight);
  }

  void MatMul(const float* x, int rows, std::span<const Matrix* const> ws,
              std::span<float* const> ys) override {
    product_.MatMul(x, rows, ws, ys);
  }

  void GatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y) override {
    product_.GatedMatMul(x, rows, ws, y);
  }

  void ExpertsMatMul(const float* x, int rows, std::span<const GatedMatrices> experts,
                     std::span<const ExpertChoice> choices, float* y) override {
    experts_.MatMul(x, rows, experts, choices, y);
  }

  void RmsNorm(const float* x, int rows, int columns, const float* weight, float epsilon,
               float* out) override {
    reprise::RmsNorm(pool_, table_.elementwise, x, rows, columns, weight, epsilon, out);
  }

  void Rope(float* x, int rows, int heads, int head_dim, const RopeTable& table,
            std::span<const int> positions) override {
    reprise::Rope(pool_, table_.elementwise, x, rows, heads, head_dim,
                  rope_cache_.Lookup(table, positions));
  }

  void Add(float* x, const float* y, size_t count) override {
    reprise::Add(pool_, table_.elementwise, x, y, count);
  }

  void LayerNorm(const float* x, int rows, int columns, const float* weight, const float* bias,
                 float epsilon, float* out) override {
    reprise::LayerNorm(pool_, x, rows, columns, weight, bias, epsilon, out);
  }

  void Scale(float* x, float factor, size_t count) override {
    reprise::Scale(pool_, x, factor, count);
  }

  void SoftCap(float* x, float cap, size_t count) override {
    reprise::SoftCap(pool_, x, cap, count);
  }

  void StoreKv(const KvLayout& layout, int layer, const float* k, const float* v,
               std::span<const SequenceSpan> sequences) override {
    reprise::StoreKv(pool_, layout, layer, k, v, sequences);
  }

  void Attention(const KvLayout& layout, int layer, const float* q, const AttentionSpec& spec,
                 std::span<const SequenceSpan> sequences, float* out) override {
    table_.attention({layout, layer, q, spec, sequences, out}, attention_scratch_);
  }

  void ShortConv(const ShortConvSpec& spec, const ShortConvRows& rows,
                 std::span<const SequenceSpan> sequences, size_t state_offset,
                 float* out) override {
    reprise::ShortConv(pool_, table_.elementwise, spec, rows, sequences, state_offset, out);
  }

  void Mamba2Scan(const Mamba2Spec& spec, const Mamba2Rows& rows,
                  std::span<const SequenceSpan> sequences, size_t state_offset,
                  float* out) override {
    reprise::Mamba2Scan(pool_, table_.state, spec, rows, sequences, state_offset, out,
                        recurrent_scratch_);
  }

  void GatedRmsNorm(const GatedNormSpec& spec, const float* x, const RowsView& gate, int rows,
                    float* out) override {
    reprise::GatedRmsNorm(pool_, table_.elementwise, spec, x, gate, rows, out);
  }

 private:
  const Isa isa_;
  const Compute compute_;
  const KernelTable table_;
  ThreadPool pool_;
  ProductDriver product_;
  ExpertsDriver experts_;
  RopeCache rope_cache_;
  AttentionScratch attention_scratch_;
  RecurrentScratch recurrent_scratch_;
};

}  // namespace

Result<std::unique_ptr<Operations>> MakeOperations(Isa isa, Compute compute, int threads) {
  if (Result<Isa> offered = ParseIsa(IsaName(isa)); !offered) {
    return std::unexpected(offered.error());
  }
  if (threads <= 0) threads = DefaultThreads();
  return std::make_unique<TableOperations>(isa, compute, threads);
}

}  // namespace reprise
