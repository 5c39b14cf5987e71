#include "kernels/operations.h"

#include <fmt/format.h>
#include <omp.h>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/experts_driver.h"
#include "kernels/product_driver.h"
#include "kernels/recurrent.h"

namespace reprise {
namespace {

// What differs between instruction sets and between kFast and kExact.
struct KernelTable {
  Isa isa;
  Compute compute;
  const ProductKernels& product;
  const ElementwiseKernels& elementwise;
  const StateKernels& state;
  decltype(&plain::Attention) attention;
};

KernelTable KernelTableOf(Isa isa, Compute compute) {
  const bool is_exact = compute == Compute::kExact;
  switch (isa) {
    case Isa::kAmx:
    case Isa::kAmxEmulated:
      return {isa,
              compute,
              isa == Isa::kAmx ? amx::kProduct : amx::kEmulatedProduct,
              is_exact ? plain::kElementwise : avx512::kElementwise,
              avx512::kState,
              is_exact           ? exact::Attention
              : isa == Isa::kAmx ? amx::Attention
                                 : amx::EmulatedAttention};
    case Isa::kAvx512:
      return {isa,
              compute,
              avx512::kProduct,
              is_exact ? plain::kElementwise : avx512::kElementwise,
              avx512::kState,
              is_exact ? exact::Attention : avx512::Attention};
    case Isa::kAvxVnni:
      return {isa,
              compute,
              avx_vnni::kProduct,
              is_exact ? plain::kElementwise : avx2::kElementwise,
              avx2::kState,
              is_exact ? exact::Attention : avx2::Attention};
    case Isa::kAvx2:
      return {isa,
              compute,
              avx2::kProduct,
              is_exact ? plain::kElementwise : avx2::kElementwise,
              avx2::kState,
              is_exact ? exact::Attention : avx2::Attention};
    case Isa::kPlain:
      break;
  }
  return {isa,
          compute,
          plain::kProduct,
          plain::kElementwise,
          plain::kState,
          is_exact ? exact::Attention : plain::Attention};
}

class TableOperations final : public Operations {
 public:
  TableOperations(const KernelTable& table, int threads)
      : table_(table),
        threads_(threads),
        product_(table.product, table.elementwise, table.compute, threads),
        experts_(table.product, table.elementwise, table.compute, threads, product_) {}

  Isa isa() const override { return table_.isa; }
  Compute compute() const override { return table_.compute; }
  KvEncoding kv_encoding() const override {
    return table_.compute == Compute::kExact ? KvEncoding::kExact : KvEncoding::kFast;
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
    SetThreads();
    reprise::RmsNorm(table_.elementwise, x, rows, columns, weight, epsilon, out);
  }

  void Rope(float* x, int rows, int heads, int head_dim, const RopeTable& table,
            std::span<const int> positions) override {
    SetThreads();
    reprise::Rope(table_.elementwise, x, rows, heads, head_dim,
                  rope_cache_.Lookup(table, positions));
  }

  void Add(float* x, const float* y, size_t count) override {
    SetThreads();
    reprise::Add(table_.elementwise, x, y, count);
  }

  void LayerNorm(const float* x, int rows, int columns, const float* weight, const float* bias,
                 float epsilon, float* out) override {
    SetThreads();
    reprise::LayerNorm(x, rows, columns, weight, bias, epsilon, out);
  }

  void Scale(float* x, float factor, size_t count) override {
    SetThreads();
    reprise::Scale(x, factor, count);
  }

  void SoftCap(float* x, float cap, size_t count) override {
    SetThreads();
    reprise::SoftCap(x, cap, count);
  }

  void StoreKv(const KvLayout& layout, int layer, const float* k, const float* v,
               std::span<const SequenceSpan> sequences) override {
    SetThreads();
    reprise::StoreKv(layout, layer, k, v, sequences);
  }

  void Attention(const KvLayout& layout, int layer, const float* q, const AttentionSpec& spec,
                 std::span<const SequenceSpan> sequences, float* out) override {
    SetThreads();
    table_.attention({layout, layer, q, spec, sequences, out}, attention_scratch_);
  }

  void ShortConv(const ShortConvSpec& spec, const ShortConvRows& rows,
                 std::span<const SequenceSpan> sequences, size_t state_offset,
                 float* out) override {
    SetThreads();
    reprise::ShortConv(table_.elementwise, spec, rows, sequences, state_offset, out);
  }

  void Mamba2Scan(const Mamba2Spec& spec, const Mamba2Rows& rows,
                  std::span<const SequenceSpan> sequences, size_t state_offset,
                  float* out) override {
    SetThreads();
    reprise::Mamba2Scan(table_.state, spec, rows, sequences, state_offset, out, recurrent_scratch_);
  }

  void GatedRmsNorm(const GatedNormSpec& spec, const float* x, const RowsView& gate, int rows,
                    float* out) override {
    SetThreads();
    reprise::GatedRmsNorm(table_.elementwise, spec, x, gate, rows, out);
  }

 private:
  // The other kernels fork over as many threads as the calling thread's setting says.
  void SetThreads() const { omp_set_num_threads(threads_); }

  const KernelTable table_;
  const int threads_;
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
  if (threads <= 0) threads = omp_get_num_procs();
  return std::make_unique<TableOperations>(KernelTableOf(isa, compute), threads);
}

}  // namespace reprise
