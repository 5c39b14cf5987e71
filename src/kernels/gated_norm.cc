// Operations::GatedRmsNorm.

#include <algorithm>

#include "base/check.h"
#include "kernels/fork.h"
#include "kernels/recurrent.h"

namespace reprise {
namespace {

constexpr int kSiluColumns = 256;

// out may be x.
void TimesSilu(const ElementwiseKernels& kernels, const float* x, const float* gate, int count,
               float* out) {
  float silus[kSiluColumns];
  for (int first = 0; first < count; first += kSiluColumns) {
    const int columns = std::min(kSiluColumns, count - first);
    std::copy_n(gate + first, columns, silus);
    kernels.activate_gated(Activation::kSilu, silus, x + first, columns);
    std::copy_n(silus, columns, out + first);
  }
}

}  // namespace

void GatedRmsNorm(ThreadPool& pool, const ElementwiseKernels& kernels, const GatedNormSpec& spec,
                  const float* x, const RowsView& gate, int rows, float* out) {
  const auto columns = static_cast<size_t>(spec.columns);
  const auto groups = static_cast<size_t>(spec.groups);
  CHECK(spec.weight.size() == groups * columns, "a weight for each column of a row");
  const bool fork = int64_t{rows} * spec.groups * spec.columns * 4 >= kForkFrom;
  ForEach(pool, int64_t{rows} * spec.groups, 1, fork, [&](int64_t i) {
    const int64_t group = i % spec.groups;
    const float* const from = x + i * spec.columns;
    float* const to = out + i * spec.columns;
    const float* const z = gate.row(i / spec.groups) + group * spec.columns;
    const float* const weight = spec.weight.data() + group * spec.columns;
    TimesSilu(kernels, from, z, spec.columns, to);
    kernels.norm_row(to, spec.columns, weight, spec.epsilon, to);
  });
}

}  // namespace reprise
