#pragma once

// What the operations take that carry a state along a sequence: the short convolution (LFM2, and
// before the other), the scan of Mamba-2, and the norm behind it. All in f32. A state is the
// caller's, zeros before position 0; its layout is the operation's own, and StateBytes() long for
// one sequence.

#include <cstddef>
#include <span>

namespace reprise {

// Rows that lie `stride` elements apart: a matrix, or some columns of a wider one.
struct RowsView {
  const float* data = nullptr;
  ptrdiff_t stride = 0;

  const float* row(ptrdiff_t index) const { return data + index * stride; }
};

// Causal convolution of each channel with its own taps, the last of them the row's own:
// y[r][c] = Σ_{j < taps} weight[j][c] · u[r - taps + 1 + j][c] + bias[c], in ascending j. The state
// is the last taps - 1 rows of u.
struct ShortConvSpec {
  int channels = 0;
  int taps = 0;                   // 2 .. kMaxTaps
  const float* weight = nullptr;  // [taps, channels]; files have [channels, taps]
  const float* bias = nullptr;    // [channels] or null
  bool has_silu = false;          // y / (1 + e^-y) is the result

  static constexpr int kMaxTaps = 8;
  size_t StateBytes() const {
    return sizeof(float) * static_cast<size_t>(taps - 1) * static_cast<size_t>(channels);
  }
};
struct ShortConvRows {
  RowsView x;              // [rows, channels]
  RowsView in_gate = {};   // u = in_gate · x; or null: u = x (LFM2: B)
  RowsView out_gate = {};  // the result is multiplied by it; or null (LFM2: C)
};

// State space duality (Dao and Gu, arXiv 2405.21060). For each head h of group g = h / (heads /
// groups): Δ = softplus(dt + dt_bias), H = e^(Δ a) H + Δ B ⊗ x, y = C · H + d x, where H is
// [d_state, head_dim].
struct Mamba2Spec {
  int heads = 0;
  int head_dim = 0;
  int groups = 0;  // divides heads
  int d_state = 0;
  const float* dt_bias = nullptr;  // [heads]
  const float* a = nullptr;        // [heads], negative: -e^A_log, as GGUF has it
  const float* d = nullptr;        // [heads]

  size_t StateBytes() const {
    return sizeof(float) * static_cast<size_t>(heads) * static_cast<size_t>(head_dim) *
           static_cast<size_t>(d_state);
  }
};
struct Mamba2Rows {
  RowsView x;   // [rows, heads, head_dim]
  RowsView b;   // [rows, groups, d_state]
  RowsView c;   // [rows, groups, d_state]
  RowsView dt;  // [rows, heads], as the projection gives it
};

// RMS norm of each group of columns behind a gate z: norm(x · silu(z)) · weight.
struct GatedNormSpec {
  int groups = 0;
  int columns = 0;                // of one group
  std::span<const float> weight;  // [groups, columns]
  float epsilon = 0;
};

}  // namespace reprise
