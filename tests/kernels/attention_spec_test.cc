// Attention with what AttentionSpec has beyond a scale (windows, soft caps, sinks) and with heads
// of K and V of different widths: near the naive reference, and a window to the exact position.

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "attention_case.h"
#include "kernels/attention.h"

namespace reprise {
namespace {

// Three partitions, the last not a whole number of blocks.
constexpr int kLong = 2 * kPartitionTokens + 277;

// Where windows begin, or do not yet; around the edges of blocks and partitions.
const int kPositions[] = {0,   1,   31,  32,  36,   37,   99,   510,
                          511, 512, 543, 548, 1023, 1024, 1060, 1300};

// Each position alone, amid its neighbours, and all of them in one prefill.
void ExpectSpecNearReference(AttentionShape shape, float q_factor = 1.0F) {
  for (const AttentionVariant& variant : AttentionVariants()) {
    shape.encoding = variant.encoding;
    SCOPED_TRACE(testing::Message() << variant.name << ", " << shape);
    AttentionSequence sequence(shape, kLong, 17);
    sequence.Scale(q_factor, 1.0F);
    sequence.Store(0, kLong);
    const std::vector<float> all = sequence.Attend(variant, 0, kLong);
    for (const int position : kPositions) {
      const float* row = all.data() + static_cast<size_t>(position) * sequence.out_row();
      ExpectNearReference(variant, sequence, position, row);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(AttentionWindowTest, IsNearTheReferenceForEachLength) {
  for (const int window : {1, 2, 31, 32, 33, 100, 511, 512, 513, 700, 1024, 1'000'000}) {
    ExpectSpecNearReference({.heads = 3, .key_dim = 32, .value_dim = 32, .window = window});
  }
}

TEST(AttentionWindowTest, IsNearTheReferenceForEachBlockSize) {
  for (const int block_tokens : {16, 64, 256, 512}) {
    ExpectSpecNearReference(
        {.heads = 2, .key_dim = 32, .value_dim = 32, .block_tokens = block_tokens, .window = 75});
  }
}

std::vector<uint32_t> RowBits(const AttentionVariant& variant, const AttentionSequence& sequence,
                              int position, int before, int after) {
  const int first = std::max(0, position - before);
  const std::vector<float> out = sequence.Attend(variant, first, position + after + 1 - first);
  std::vector<uint32_t> bits(sequence.out_row());
  std::memcpy(bits.data(), out.data() + static_cast<size_t>(position - first) * sequence.out_row(),
              bits.size() * sizeof(uint32_t));
  return bits;
}

// Exactly: another key changes the row if it is in the window, and no bit of it if it is not.
TEST(AttentionWindowTest, ReachesFromItsFirstPositionToTheRows) {
  for (const AttentionVariant& variant : AttentionVariants()) {
    for (const int window : {1, 5, 32, 33, 512, 700}) {
      AttentionShape shape = {.heads = 3, .key_dim = 20, .value_dim = 20, .window = window};
      shape.encoding = variant.encoding;
      for (const int position : {37, 64, 512, 543, 544, 1100}) {
        SCOPED_TRACE(testing::Message() << variant.name << ", " << shape << ", row " << position);
        AttentionSequence sequence(shape, kLong, 19);
        sequence.Store(0, kLong);
        const std::vector<uint32_t> bits = RowBits(variant, sequence, position, 0, 0);
        const auto changed_by = [&](int key) {
          sequence.Change(key);
          sequence.Store(key, 1);
          const bool alone = RowBits(variant, sequence, position, 0, 0) != bits;
          const bool among_others = RowBits(variant, sequence, position, 40, 40) != bits;
          EXPECT_EQ(alone, among_others);
          return alone;
        };
        const int begin = position - window + 1;
        if (begin > 0) {
          EXPECT_FALSE(changed_by(begin - 1));
        }
        if (begin > 100) {
          EXPECT_FALSE(changed_by(begin - 100));
        }
        EXPECT_FALSE(changed_by(position + 1));
        EXPECT_TRUE(changed_by(std::max(0, begin)));
      }
    }
  }
}

// NaN would show: 0 times NaN is NaN.
TEST(AttentionWindowTest, DoesNotReadBlocksBeforeIt) {
  for (const AttentionVariant& variant : AttentionVariants()) {
    for (const int position : {100, 543, 600, 1290}) {
      SCOPED_TRACE(testing::Message() << variant.name << ", row " << position);
      const AttentionShape shape = {
          .heads = 3, .window = 70, .soft_cap = 3.0F, .encoding = variant.encoding};
      const AttentionSequence sequence(shape, kLong, 23);
      sequence.Store(0, kLong);
      const std::vector<uint32_t> bits = RowBits(variant, sequence, position, 0, 0);
      const int begin = position - shape.window + 1;
      for (int block = 0; block < begin / shape.block_tokens; ++block) {
        std::memset(sequence.blocks()[static_cast<size_t>(block)], 0xFF,
                    sequence.layout().block_bytes());
      }
      EXPECT_EQ(RowBits(variant, sequence, position, 0, 0), bits);
    }
  }
}

TEST(AttentionSoftCapTest, IsNearTheReference) {
  for (const float cap : {0.5F, 2.0F, 50.0F}) {
    for (const float q_factor : {1.0F, 20.0F}) {
      ExpectSpecNearReference({.heads = 3, .key_dim = 32, .value_dim = 32, .soft_cap = cap},
                              q_factor);
    }
  }
}

struct CapFunction {
  std::string name;
  void (*run)(float* scores, int count, float scale, float cap);
};

std::vector<CapFunction> CapFunctions() {
  std::vector<CapFunction> functions = {{"plain", plain::CapScores}};
  if (CpuOffers(Isa::kAvx2)) functions.push_back({"avx2", avx2::CapScores});
  if (CpuOffers(Isa::kAvx512)) functions.push_back({"avx512", avx512::CapScores});
  return functions;
}

TEST(AttentionSoftCapTest, IsWithinFourUlpOfTanh) {
  std::vector<float> x;
  for (float value = 1e-30F; value < 200.0F; value *= 1.0003F) {
    x.push_back(value);
    x.push_back(-value);
  }
  for (float value = 0.6F; value < 0.65F; value += 1e-6F) x.push_back(value);
  x.resize(x.size() / 16 * 16);
  for (const CapFunction& function : CapFunctions()) {
    SCOPED_TRACE(function.name);
    std::vector<float> capped = x;
    function.run(capped.data(), static_cast<int>(x.size()), 1.0F, 1.0F);
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::tanh(static_cast<double>(x[i]));
      const auto near = static_cast<float>(std::abs(exact));
      const double ulp = static_cast<double>(std::nextafter(near, 2.0F) - near);
      ASSERT_NEAR(static_cast<double>(capped[i]), exact, 4 * ulp) << x[i];
      ASSERT_LE(std::abs(capped[i]), 1.0F);
    }
  }
}

TEST(AttentionSoftCapTest, KeepsZerosAndNanAndSaturates) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const CapFunction& function : CapFunctions()) {
    SCOPED_TRACE(function.name);
    float x[16] = {0.0F, -0.0F, infinity, -infinity, std::nanf(""), 1e30F, -1e30F, 4.0F};
    function.run(x, 16, 0.5F, 2.0F);
    EXPECT_EQ(x[0], 0.0F);
    EXPECT_EQ(x[1], 0.0F);
    EXPECT_EQ(x[2], 2.0F);
    EXPECT_EQ(x[3], -2.0F);
    EXPECT_TRUE(std::isnan(x[4]));
    EXPECT_EQ(x[5], 2.0F);
    EXPECT_EQ(x[6], -2.0F);
    EXPECT_FLOAT_EQ(x[7], 2.0F * std::tanh(1.0F));
  }
}

TEST(AttentionSinkTest, IsNearTheReference) {
  ExpectSpecNearReference({.heads = 6, .kv_heads = 2, .has_sinks = true});
  ExpectSpecNearReference({.heads = 6, .kv_heads = 2, .has_sinks = true}, 20.0F);
  ExpectSpecNearReference({.heads = 6, .kv_heads = 2, .window = 128, .has_sinks = true});
}

TEST(AttentionSinkTest, OfALowLogitIsNone) {
  for (const AttentionVariant& variant : AttentionVariants()) {
    const AttentionSequence sequence({.encoding = variant.encoding}, 700, 29);
    sequence.Store(0, 700);
    const std::vector<float> sinks = {-1000.0F, -1000.0F, -1000.0F};
    AttentionSpec spec = sequence.spec();
    spec.sinks = sinks;
    const SequenceSpan span = {0, 700, 0, sequence.blocks()};
    std::vector<float> out(700 * sequence.out_row());
    AttentionScratch scratch(PoolOf(1));
    variant.run({sequence.layout(), 0, sequence.q().data(), spec, {&span, 1}, out.data()}, scratch);
    EXPECT_EQ(out, sequence.Attend(variant, 0, 700)) << variant.name;
  }
}

TEST(AttentionWidthTest, OfKeysAndValuesMayDiffer) {
  const AttentionShape shapes[] = {{.heads = 4, .kv_heads = 2, .key_dim = 40, .value_dim = 32},
                                   {.heads = 3, .key_dim = 32, .value_dim = 40},
                                   {.heads = 2, .key_dim = 18, .value_dim = 7},
                                   {.heads = 2, .kv_heads = 2, .key_dim = 192, .value_dim = 128}};
  for (const AttentionShape& shape : shapes) ExpectSpecNearReference(shape);
}

// One KV head for 128 query heads, as a latent of 512 and 64 dimensions that turn: more rows than a
// tile has.
TEST(AttentionWidthTest, OfALatentForManyHeads) {
  constexpr int kTokens = 70;
  for (const AttentionVariant& variant : AttentionVariants()) {
    const AttentionShape shape = {
        .heads = 128, .key_dim = 576, .value_dim = 512, .encoding = variant.encoding};
    const AttentionSequence sequence(shape, kTokens, 31);
    sequence.Store(0, kTokens);
    const std::vector<float> out = sequence.Attend(variant, 0, kTokens);
    for (const int position : {0, 1, 33, kTokens - 1}) {
      const float* row = out.data() + static_cast<size_t>(position) * sequence.out_row();
      ExpectNearReference(variant, sequence, position, row, {0, 1, 95, 96, 127});
    }
  }
}

TEST(AttentionSpecTest, AllTogetherAreNearTheReference) {
  ExpectSpecNearReference({.heads = 6,
                           .kv_heads = 2,
                           .key_dim = 40,
                           .value_dim = 32,
                           .block_tokens = 16,
                           .window = 37,
                           .soft_cap = 2.0F,
                           .has_sinks = true,
                           .layers = 2,
                           .layer = 1},
                          3.0F);
}

}  // namespace
}  // namespace reprise
