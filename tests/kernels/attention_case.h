#pragma once

// What the tests of attention share: the variants that this CPU can run, a batch of sequences with
// random q, K and V in blocks of their own, and a naive reference in double precision with the
// bound of each output's error.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/bf16.h"
#include "kernels/kv_layout.h"
#include "kernels/operations.h"
#include "pools.h"

namespace reprise {

struct AttentionVariant {
  std::string name;
  KvEncoding encoding;
  void (*run)(const AttentionCall& call, AttentionScratch& scratch);
};

inline std::vector<AttentionVariant> AttentionVariants() {
  std::vector<AttentionVariant> variants = {{"plain", KvEncoding::kFast, plain::Attention},
                                            {"exact", KvEncoding::kExact, exact::Attention}};
  if (CpuOffers(Isa::kAvx2)) variants.push_back({"avx2", KvEncoding::kFast, avx2::Attention});
  if (CpuOffers(Isa::kAvxVnni)) {
    variants.push_back({"avx_vnni", KvEncoding::kFast, avx_vnni::Attention});
  }
  if (CpuOffers(Isa::kAvx512)) {
    variants.push_back({"avx512", KvEncoding::kFast, avx512::Attention});
  }
  if (CpuOffers(Isa::kAmxEmulated)) {
    variants.push_back({"amx_emulated", KvEncoding::kFast, amx::EmulatedAttention});
  }
  if (CpuOffers(Isa::kAmx)) variants.push_back({"amx", KvEncoding::kFast, amx::Attention});
  return variants;
}

struct AttentionShape {
  int heads = 3;
  int kv_heads = 1;
  int key_dim = 64;
  int value_dim = 64;
  int block_tokens = 32;
  int window = 0;
  float soft_cap = 0;
  bool has_sinks = false;
  KvEncoding encoding = KvEncoding::kFast;
  int layers = 1;
  int layer = 0;
};

inline std::ostream& operator<<(std::ostream& out, const AttentionShape& shape) {
  return out << "heads " << shape.heads << "/" << shape.kv_heads << ", widths " << shape.key_dim
             << "/" << shape.value_dim << ", blocks of " << shape.block_tokens << ", window "
             << shape.window << ", cap " << shape.soft_cap << (shape.has_sinks ? ", sinks" : "");
}

// One sequence: q, K and V of positions 0 .. length-1, and its blocks. Rows of the blocks that no
// position has written hold finite garbage of the largest magnitude.
class AttentionSequence {
 public:
  AttentionSequence(const AttentionShape& shape, int length, uint32_t seed)
      : shape_(shape), length_(length) {
    layout_.layers = shape.layers;
    layout_.kv_heads = shape.kv_heads;
    layout_.key_dim = shape.key_dim;
    layout_.value_dim = shape.value_dim;
    layout_.block_tokens = shape.block_tokens;
    layout_.encoding = shape.encoding;
    std::mt19937 random(seed);
    size_t drawn = 0;
    const auto fill = [&](std::vector<float>& values, size_t row) {
      const size_t count = static_cast<size_t>(length) * row;
      const std::vector<float>& normal = Normals(seed, drawn + count);
      values.assign(normal.begin() + static_cast<ptrdiff_t>(drawn),
                    normal.begin() + static_cast<ptrdiff_t>(drawn + count));
      drawn += count;
    };
    fill(q_, q_row());
    fill(k_, k_row());
    fill(v_, v_row());
    // About as large as the largest scores of a few keys.
    for (int h = 0; shape.has_sinks && h < shape.heads; ++h) {
      sinks_.push_back(0.5F + 3.0F * std::sin(static_cast<float>(h)));
    }
    const int blocks = (length + shape.block_tokens - 1) / shape.block_tokens;
    for (int i = 0; i < blocks; ++i) {
      memory_.push_back(std::make_unique<std::byte[]>(layout_.block_bytes()));
      blocks_.push_back(memory_.back().get());
      FillWithGarbage(blocks_.back(), random);
    }
  }

  const KvLayout& layout() const { return layout_; }
  const AttentionShape& shape() const { return shape_; }
  int length() const { return length_; }
  const std::vector<float>& q() const { return q_; }
  std::span<std::byte* const> blocks() const { return blocks_; }
  size_t q_row() const { return Row(shape_.heads, shape_.key_dim); }
  size_t k_row() const { return Row(shape_.kv_heads, shape_.key_dim); }
  size_t v_row() const { return Row(shape_.kv_heads, shape_.value_dim); }
  size_t out_row() const { return Row(shape_.heads, shape_.value_dim); }
  AttentionSpec spec() const {
    return {.heads = shape_.heads,
            .scale = scale(),
            .window = shape_.window,
            .soft_cap = shape_.soft_cap,
            .sinks = sinks_};
  }

  void Scale(float q_factor, float v_factor) {
    for (float& value : q_) value *= q_factor;
    for (float& value : v_) value *= v_factor;
  }

  // Values of one size whose signs alternate in pairs, so that sums of them all but cancel.
  void AlternateValues(float size) {
    for (size_t i = 0; i < v_.size(); ++i) {
      v_[i] = (i / v_row() / 2 % 2 == 0 ? size : -size) + v_[i];
    }
  }

  // Another K and V at one position.
  void Change(int position) {
    float* const k = k_.data() + static_cast<size_t>(position) * k_row();
    float* const v = v_.data() + static_cast<size_t>(position) * v_row();
    for (size_t i = 0; i < k_row(); ++i) k[i] = 1.0F - k[i];
    for (size_t i = 0; i < v_row(); ++i) v[i] = 1.0F - v[i];
  }

  // Stores K and V of positions first .. first+rows-1.
  void Store(int first, int rows) const {
    const SequenceSpan span = {0, rows, first, blocks_};
    StoreKv(PoolOf(1), layout_, shape_.layer, k_.data() + static_cast<size_t>(first) * k_row(),
            v_.data() + static_cast<size_t>(first) * v_row(), {&span, 1});
  }

  // Output rows of positions first .. first+rows-1, computed in one call.
  std::vector<float> Attend(const AttentionVariant& variant, int first, int rows,
                            ThreadPool& pool = PoolOf(1)) const {
    const SequenceSpan span = {0, rows, first, blocks_};
    std::vector<float> out(static_cast<size_t>(rows) * out_row());
    const AttentionSpec spec = this->spec();
    const AttentionCall call = {
        layout_, shape_.layer, q_.data() + static_cast<size_t>(first) * q_row(),
        spec,    {&span, 1},   out.data()};
    AttentionScratch scratch(pool);
    variant.run(call, scratch);
    return out;
  }

  float scale() const { return 1.0F / std::sqrt(static_cast<float>(shape_.key_dim)); }

  // The output of one position and head, and how far a variant may be from it.
  //
  // Inputs are rounded first (where the variant does: q and K, rotated, to whole multiples of a
  // head's largest magnitude by 127, V to bf16), so what is left is: the probabilities' rounding to
  // bf16 by at most u = 2^-8 of each, before they are summed and used, which changes a weight by at
  // most (1 + u) / (1 - u); and f32 sums of n terms, each off by at most n 2^-24 of the sum of
  // magnitudes. An error e in every score changes a weight by at most exp(2 e). A soft cap's tanh,
  // whose slope is at most 1, adds its own 4 ulp and two roundings; a sink is a score that is
  // divided by the scale and multiplied again.
  struct Expected {
    std::vector<double> value;
    std::vector<double> bound;
  };
  Expected Reference(int position, int head) const {
    const int dim = shape_.key_dim;
    const int begin = shape_.window == 0 ? 0 : std::max(0, position - shape_.window + 1);
    const bool rounded = shape_.encoding == KvEncoding::kFast;
    // One head of q or K as it is multiplied.
    const auto head_of = [&](const float* x) {
      if (!rounded) return std::vector<double>(x, x + dim);
      const int size = dim & -dim;
      std::vector<float> rotated(x, x + dim);
      for (int distance = 1; distance < size; distance *= 2) {
        const std::vector<float> before = rotated;
        for (int d = 0; d < dim; ++d) {
          const float other = before[static_cast<size_t>(d ^ distance)];
          const float self = before[static_cast<size_t>(d)];
          rotated[static_cast<size_t>(d)] = (d & distance) == 0 ? self + other : other - self;
        }
      }
      float largest = 0;
      for (const float value : rotated) largest = std::max(largest, std::abs(value));
      std::vector<double> values;
      for (const float value : rotated) {
        const float integer = std::nearbyint(value * (127.0F / largest));
        values.push_back(static_cast<double>(integer * (largest / 127.0F)) / std::sqrt(size));
      }
      return values;
    };
    const int kv_head = head / (shape_.heads / shape_.kv_heads);
    const std::vector<double> q =
        head_of(q_.data() + static_cast<size_t>(position) * q_row() + head * dim);
    std::vector<double> weights;  // of positions begin ..
    double score_error = 0;
    double top = -1e300;
    for (int p = begin; p <= position; ++p) {
      const std::vector<double> k =
          head_of(k_.data() + static_cast<size_t>(p) * k_row() + kv_head * dim);
      double score = 0;
      double magnitude = 0;
      for (size_t d = 0; d < q.size(); ++d) {
        score += q[d] * k[d];
        magnitude += std::abs(q[d] * k[d]);
      }
      score *= static_cast<double>(scale());
      double error = magnitude * static_cast<double>(scale()) * (dim + 4);
      if (shape_.soft_cap != 0) {
        const auto cap = static_cast<double>(shape_.soft_cap);
        error += 4 * std::abs(score);
        score = cap * std::tanh(score / cap);
        error += 10 * std::abs(score);
      }
      weights.push_back(score);
      top = std::max(top, score);
      score_error = std::max(score_error, error);
    }
    double sum = 0;
    if (shape_.has_sinks) {
      const auto sink = static_cast<double>(sinks_[static_cast<size_t>(head)]);
      score_error = std::max(score_error, 4 * std::abs(sink));
      top = std::max(top, sink);
      sum = std::exp(sink - top);
    }
    score_error *= std::ldexp(1.0, -24);
    for (double& weight : weights) sum += weight = std::exp(weight - top);
    const double u = rounded ? std::ldexp(1.0, -8) : 0.0;
    const double relative = std::exp(2 * score_error) * (1 + u) / (1 - u) - 1 +
                            2 * (position - begin + 32) * std::ldexp(1.0, -24);
    Expected expected;
    for (int d = 0; d < shape_.value_dim; ++d) {
      double value = 0;
      double magnitude = 0;
      for (int p = begin; p <= position; ++p) {
        const float element = v_[static_cast<size_t>(p) * v_row() + Row(kv_head, shape_.value_dim) +
                                 static_cast<size_t>(d)];
        const auto v = static_cast<double>(rounded ? FromBf16(ToBf16(element)) : element);
        const double weight = weights[static_cast<size_t>(p - begin)] / sum;
        value += weight * v;
        magnitude += weight * std::abs(v);
      }
      expected.value.push_back(value);
      expected.bound.push_back(magnitude * relative);
    }
    return expected;
  }

 private:
  static size_t Row(int heads, int dim) { return static_cast<size_t>(heads * dim); }

  // At least `count` of the seed's normal numbers, drawn once for all sequences: under sanitizers
  // drawing them takes longer than attention.
  static const std::vector<float>& Normals(uint32_t seed, size_t count) {
    struct Drawn {
      std::mt19937 random;
      std::normal_distribution<float> normal;
      std::vector<float> values;
    };
    static std::map<uint32_t, Drawn> all;
    Drawn& drawn = all.try_emplace(seed, Drawn{std::mt19937(seed), {}, {}}).first->second;
    while (drawn.values.size() < count) drawn.values.push_back(drawn.normal(drawn.random));
    return drawn.values;
  }

  void FillWithGarbage(std::byte* block, std::mt19937& random) const {
    const size_t count = layout_.block_bytes() / (layout_.encoding == KvEncoding::kFast ? 2 : 4);
    for (size_t i = 0; i < count; ++i) {
      const float value = (random() & 1U) != 0 ? 3e38F : -3e38F;
      if (layout_.encoding == KvEncoding::kExact) {
        std::memcpy(block + 4 * i, &value, 4);
      } else {
        const uint16_t bits = ToBf16(value);
        std::memcpy(block + 2 * i, &bits, 2);
      }
    }
  }

  AttentionShape shape_;
  int length_;
  KvLayout layout_;
  std::vector<float> q_;  // [length, heads, key_dim]
  std::vector<float> k_;  // [length, kv_heads, key_dim]
  std::vector<float> v_;  // [length, kv_heads, value_dim]
  std::vector<float> sinks_;
  std::vector<std::unique_ptr<std::byte[]>> memory_;
  std::vector<std::byte*> blocks_;
};

// `out` is the row of `position`; of `heads` query heads, or of all if there are none given.
inline void ExpectNearReference(const AttentionVariant& variant, const AttentionSequence& sequence,
                                int position, const float* out, std::vector<int> heads = {}) {
  const int dim = sequence.shape().value_dim;
  for (int head = 0; head < sequence.shape().heads; ++head) {
    if (!heads.empty() && std::ranges::find(heads, head) == heads.end()) continue;
    const AttentionSequence::Expected expected = sequence.Reference(position, head);
    for (int d = 0; d < dim; ++d) {
      const size_t i = static_cast<size_t>(d);
      ASSERT_NEAR(static_cast<double>(out[head * dim + d]), expected.value[i], expected.bound[i])
          << variant.name << ", position " << position << ", head " << head << ", dimension " << d;
    }
  }
}

}  // namespace reprise
