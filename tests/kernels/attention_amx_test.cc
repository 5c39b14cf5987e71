// Attention by AMX tiles against its order of summation written plainly, bit for bit: over emulated
// tiles everywhere with AVX-512, over the hardware's where there is AMX. That few rows and many
// agree on ordinary values is exact_order_test.cc's subject.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "attention_case.h"
#include "kernels/attention.h"
#include "kernels/quantize_head.h"

namespace reprise {
namespace {

constexpr int kAmxLength = kPartitionTokens + 300;  // the second step of the second partition begun
constexpr int kStep = 256;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float Flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0F, x) : x; }

float FlushedFma(float a, float b, float c) {
  return Flushed(std::fma(Flushed(a), Flushed(b), Flushed(c)));
}

float PlainPowerOfTwo(float z) {
  const float whole = std::floor(z);
  // Rounded down, as vreduceps subtracts.
  const double exact = static_cast<double>(z) - static_cast<double>(whole);
  float f = static_cast<float>(exact);
  if (static_cast<double>(f) > exact) f = std::nextafter(f, -1.0F);
  float p = 0.013555747F;
  p = std::fma(p, f, 0.052025763F);
  p = std::fma(p, f, 0.24137913F);
  p = std::fma(p, f, 0.69303548F);
  p = std::fma(p, f, 1.0F);
  return std::ldexp(p, static_cast<int>(std::max(whole, -1000.0F)));
}

float PlainWeight(float before, float after, float factor) {
  return after > before ? PlainPowerOfTwo(std::max((before - after) * factor, -200.0F)) : 1.0F;
}

struct PlainState {
  float maximum = -kInfinity;
  float sum = 0;
  std::vector<float> out;
};

// One row in plain C++: partitions of two steps, keys in groups of 32 (or of a block).
class PlainRow {
 public:
  PlainRow(const AttentionSequence& sequence, int position, int head)
      : sequence_(sequence),
        layout_(sequence.layout()),
        position_(position),
        kv_head_(head / (sequence.shape().heads / layout_.kv_heads)),
        begin_(WindowBegin()),
        values_(static_cast<size_t>(layout_.key_dim)) {
    q_scale_ = QuantizeHead(sequence.q().data() + static_cast<size_t>(position) * sequence.q_row() +
                                head * layout_.key_dim,
                            layout_.key_dim, values_.data());
    factor_ = sequence.scale() * q_scale_ * 1.4426950408889634F;
    total_.out.resize(static_cast<size_t>(layout_.value_dim));
    if (sequence.shape().has_sinks) {
      total_.maximum = sequence.spec().sinks[static_cast<size_t>(head)] / sequence.scale();
      total_.sum = 1.0F;
    }
  }

  std::vector<float> Attend() {
    for (int partition = 0; partition <= position_; partition += kPartitionTokens) {
      if (partition + kPartitionTokens > begin_) AddPartition(partition);
    }
    const float inverse = 1.0F / total_.sum;
    for (float& x : total_.out) x *= inverse;
    return total_.out;
  }

 private:
  int WindowBegin() const {
    const int window = sequence_.shape().window;
    return window == 0 ? 0 : std::max(0, position_ - window + 1);
  }

  void AddPartition(int partition) {
    PlainState part;
    part.out.resize(total_.out.size());
    for (int step = partition; step < partition + kPartitionTokens; step += kStep) {
      const int end = std::min(step + kStep, position_ + 1);
      if (std::max(step, begin_) < end) AddStep(step, end, &part);
    }
    part.maximum *= q_scale_;
    const float top = std::max(part.maximum, total_.maximum);
    const float factor = sequence_.scale() * 1.4426950408889634F;
    const float before = PlainWeight(total_.maximum, top, factor);
    const float added = PlainWeight(part.maximum, top, factor);
    total_.maximum = top;
    total_.sum = total_.sum * before + part.sum * added;
    for (size_t d = 0; d < part.out.size(); ++d) {
      total_.out[d] = std::fma(part.out[d] + 0.0F, added, total_.out[d] * before);
    }
  }

  void AddStep(int step, int end, PlainState* part) {
    const float before = part->maximum;
    for (int p = std::max(step, begin_); p < end; ++p) {
      part->maximum = std::max(part->maximum, Score(p));
    }
    const float weight = PlainWeight(before, part->maximum, factor_);
    part->sum *= weight;
    for (float& x : part->out) x *= weight;
    const float offset = -part->maximum * factor_;
    const int group = std::min(32, layout_.block_tokens);
    for (int first = step; first < end; first += group) {
      std::vector<float> probabilities;
      for (int p = first; p < first + group; ++p) {
        const bool is_seen = p >= begin_ && p < end;
        const float power = is_seen ? PlainPowerOfTwo(std::fma(Score(p), factor_, offset)) : 0.0F;
        probabilities.push_back(FromBf16(ToBf16(Flushed(power))));
      }
      const auto add = [&](auto value, float* to) {
        float sums[2] = {};
        for (int i = 0; i < group; ++i) {
          sums[i % 2] =
              FlushedFma(probabilities[static_cast<size_t>(i)], value(first + i), sums[i % 2]);
        }
        *to = Flushed(Flushed(*to) + Flushed(sums[0] + sums[1]));
      };
      add([](int) { return 1.0F; }, &part->sum);
      for (int d = 0; d < layout_.value_dim; ++d) {
        add([&](int p) { return Value(p, d); }, &part->out[static_cast<size_t>(d)]);
      }
    }
  }

  const std::byte* Block(int position) const {
    return sequence_.blocks()[static_cast<size_t>(position / layout_.block_tokens)];
  }

  float Score(int position) const {
    const std::byte* k = Block(position) + layout_.k_offset(0, kv_head_);
    const int slot = position % layout_.block_tokens;
    int sum = 0;
    for (int d = 0; d < layout_.key_dim; ++d) {
      const int byte = std::to_integer<int>(k[(d / 4 * layout_.block_tokens + slot) * 4 + d % 4]);
      sum += values_[static_cast<size_t>(d)] * (byte - 128);
    }
    float scale;
    std::memcpy(&scale, k + layout_.key_scales_offset() + 4 * slot, sizeof(scale));
    return static_cast<float>(sum) * scale;
  }

  float Value(int position, int d) const {
    if (position >= sequence_.length()) return 0.0F;  // by probability 0
    const int slot = position % layout_.block_tokens;
    uint16_t bits;
    std::memcpy(&bits,
                Block(position) + layout_.v_offset(0, kv_head_) +
                    4 * (slot / 2 * layout_.value_dim + d) + 2 * (slot % 2),
                sizeof(bits));
    return FromBf16(bits);
  }

  const AttentionSequence& sequence_;
  const KvLayout& layout_;
  const int position_;
  const int kv_head_;
  const int begin_;  // of the window
  std::vector<int8_t> values_;
  float q_scale_ = 0;
  float factor_ = 0;
  PlainState total_;
};

std::vector<AttentionVariant> TileVariants() {
  std::vector<AttentionVariant> variants = AttentionVariants();
  std::erase_if(variants, [](const AttentionVariant& variant) {
    return variant.name != "amx" && variant.name != "amx_emulated";
  });
  return variants;
}

// Values as they come, and such whose sums underflow, overflow in part, or cancel.
enum class Values : uint8_t { kNormal, kDenormal, kAboutTheLeastNormal, kHuge, kCancelling };

AttentionSequence MakeSequence(const AttentionShape& shape, Values values) {
  AttentionSequence sequence(shape, kAmxLength, 61);
  const auto scale = [&](float q, float v) { sequence.Scale(q, v); };
  if (values == Values::kDenormal) scale(3.0F, 1e-39F);
  if (values == Values::kAboutTheLeastNormal) scale(3.0F, 4e-37F);
  if (values == Values::kHuge) scale(3.0F, 7e37F);
  if (values == Values::kCancelling) sequence.AlternateValues(1e6F);
  sequence.Store(0, kAmxLength);
  return sequence;
}

std::vector<uint32_t> BitsOfFloats(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

// Rows of three kinds: in one prefill, alone, and the order written plainly.
void ExpectPlainBits(const AttentionShape& shape, Values values) {
  const AttentionSequence sequence = MakeSequence(shape, values);
  const auto value_dim = static_cast<ptrdiff_t>(shape.value_dim);
  for (const AttentionVariant& variant : TileVariants()) {
    SCOPED_TRACE(testing::Message()
                 << variant.name << ", " << shape << ", values " << static_cast<int>(values));
    const std::vector<float> all = sequence.Attend(variant, 0, kAmxLength);
    for (const int position : {0, 1, 31, 32, 37, 255, 256, 300, 511, 512, 770, kAmxLength - 1}) {
      const auto row = all.begin() + static_cast<ptrdiff_t>(sequence.out_row()) * position;
      const std::vector<float> expected(row, row + static_cast<ptrdiff_t>(sequence.out_row()));
      ASSERT_EQ(BitsOfFloats(sequence.Attend(variant, position, 1)), BitsOfFloats(expected))
          << position;
      for (int head = 0; head < shape.heads; ++head) {
        const auto from = row + head * value_dim;
        ASSERT_EQ(BitsOfFloats(PlainRow(sequence, position, head).Attend()),
                  BitsOfFloats({from, from + value_dim}))
            << "position " << position << ", head " << head;
      }
    }
  }
}

constexpr AttentionShape kTileShapes[] = {
    {.heads = 3},
    {.heads = 2, .key_dim = 40, .value_dim = 80, .block_tokens = 16, .has_sinks = true},
    {.heads = 2, .kv_heads = 2, .key_dim = 128, .value_dim = 18, .block_tokens = 64, .window = 75},
    {.heads = 13, .key_dim = 6, .value_dim = 7, .block_tokens = 512, .window = 300},
};

TEST(AttentionTilesTest, HaveTheBitsOfTheirOrderForEachShape) {
  for (const AttentionShape& shape : kTileShapes) ExpectPlainBits(shape, Values::kNormal);
}

TEST(AttentionTilesTest, HaveTheBitsOfTheirOrderForHardValues) {
  for (const Values values :
       {Values::kDenormal, Values::kAboutTheLeastNormal, Values::kHuge, Values::kCancelling}) {
    ExpectPlainBits({.heads = 3, .value_dim = 32}, values);
    ExpectPlainBits({.heads = 2, .value_dim = 24, .block_tokens = 16, .window = 200}, values);
  }
}

TEST(AttentionTilesTest, OfTheHardwareHaveTheBitsOfTheEmulation) {
  if (!CpuOffers(Isa::kAmx)) GTEST_SKIP() << "this machine has no AMX";
  const AttentionVariant hardware = {"amx", KvEncoding::kFast, amx::Attention};
  const AttentionVariant emulated = {"amx_emulated", KvEncoding::kFast, amx::EmulatedAttention};
  for (const AttentionShape& shape : kTileShapes) {
    const AttentionSequence sequence = MakeSequence(shape, Values::kNormal);
    for (const int rows : {1, 9, 40, kAmxLength}) {
      EXPECT_EQ(BitsOfFloats(sequence.Attend(hardware, kAmxLength - rows, rows)),
                BitsOfFloats(sequence.Attend(emulated, kAmxLength - rows, rows)))
          << shape << ", " << rows << " rows";
    }
  }
}

}  // namespace
}  // namespace reprise
