// The kernels of state_kernel.h, included once by the source of each instruction set into its own
// unnamed namespace: the same C++ compiled three times. NOT a header for anyone else, hence no
// #pragma once.
//
// Columns are taken in blocks: four vectors, whose sums hide the latency of additions, then one,
// then column by column. An element takes the same operations in the same order in each, so the
// vectors are as wide as registers are.

#if defined(__AVX512F__)
typedef float StateLanes __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef float StateLanes __attribute__((vector_size(32)));
#else
typedef float StateLanes __attribute__((vector_size(16)));
#endif

template <typename V>
constexpr int kWidthOf = static_cast<int>(sizeof(V) / 4);  // of f32

// Of memory that is aligned as floats are. One instruction each.
template <typename V>
void LoadLanes(V& to, const float* from) {
  std::memcpy(&to, from, sizeof(V));
}
template <typename V>
void StoreLanes(float* to, const V& from) {
  std::memcpy(to, &from, sizeof(V));
}

// Runs the call block by block, panel by panel.
template <template <typename, int> typename Block, typename Call>
void ForBlocks(const Call& call, int depth) {
  constexpr int kWidth = kWidthOf<StateLanes>;
  for (int panel = 0; panel < call.columns; panel += kStatePanel) {
    const int width = call.columns - panel < kStatePanel ? call.columns - panel : kStatePanel;
    float* const state = call.state + ptrdiff_t{panel} * depth;
    int at = 0;
    for (; at + 4 * kWidth <= width; at += 4 * kWidth) {
      Block<StateLanes, 4>::Run(call, panel + at, state + at, width);
    }
    for (; at + kWidth <= width; at += kWidth) {
      Block<StateLanes, 1>::Run(call, panel + at, state + at, width);
    }
    for (; at < width; ++at) Block<float, 1>::Run(call, panel + at, state + at, width);
  }
}

template <typename V, int kVectors>
struct ScanBlock {
  static void Run(const ScanCall& call, int first, float* block, int stride) {
    for (int row = 0; row < call.rows; ++row) {
      const float* const x = call.x + row * call.x_stride + first;
      const float* const b = call.b + row * call.b_stride;
      const float* const c = call.c + row * call.c_stride;
      const float decay = call.factors[2 * row];
      const float dt = call.factors[2 * row + 1];
      V own[kVectors];
      V input[kVectors];
      V sums[kVectors] = {};
      for (int v = 0; v < kVectors; ++v) {
        LoadLanes(own[v], x + v * kWidthOf<V>);
        input[v] = dt * own[v];
      }
      for (int i = 0; i < call.d_state; ++i) {
        float* const state = block + i * ptrdiff_t{stride};
        for (int v = 0; v < kVectors; ++v) {
          V next;
          LoadLanes(next, state + v * kWidthOf<V>);
          next = decay * next + b[i] * input[v];
          StoreLanes(state + v * kWidthOf<V>, next);
          sums[v] += c[i] * next;
        }
      }
      float* const out = call.out + row * call.out_stride + first;
      for (int v = 0; v < kVectors; ++v) {
        sums[v] += call.d * own[v];
        StoreLanes(out + v * kWidthOf<V>, sums[v]);
      }
    }
  }
};

void Scan(const ScanCall& call) { ForBlocks<ScanBlock>(call, call.d_state); }
