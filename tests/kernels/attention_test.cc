// Attention of each instruction set against a naive reference in double precision, and the storing
// of K and V. That results do not depend on the batch is exact_order_test.cc's subject.

#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "attention_case.h"

namespace reprise {
namespace {

// Positions around the edges of blocks (16, 32, 64), of partitions (512), and far inside.
const int kEdges[] = {0,   1,   14,  15,  16,  17,  31,  32,  33,  63,   64,   65,
                      130, 254, 255, 256, 257, 511, 512, 513, 600, 1023, 1024, 1026};

constexpr int kLength = 1030;

// Each edge amid its neighbours: with a group of three more than one micro tile of any kernel.
void ExpectShapeNearReference(AttentionShape shape) {
  for (const AttentionVariant& variant : AttentionVariants()) {
    SCOPED_TRACE(variant.name);
    shape.encoding = variant.encoding;
    const AttentionSequence sequence(shape, kLength, 7);
    sequence.Store(0, kLength);
    for (const int position : kEdges) {
      const int first = std::max(0, position - 4);
      const int rows = std::min(9, kLength - first);
      const std::vector<float> out = sequence.Attend(variant, first, rows);
      ExpectNearReference(variant, sequence, position,
                          out.data() + static_cast<size_t>(position - first) * sequence.out_row());
    }
  }
}

TEST(AttentionTest, IsNearTheReferenceInOnePrefill) {
  for (const AttentionVariant& variant : AttentionVariants()) {
    SCOPED_TRACE(variant.name);
    const AttentionSequence sequence({.encoding = variant.encoding}, kLength, 8);
    sequence.Store(0, kLength);
    const std::vector<float> out = sequence.Attend(variant, 0, kLength);
    for (const int position : kEdges) {
      ExpectNearReference(variant, sequence, position,
                          out.data() + static_cast<size_t>(position) * sequence.out_row());
    }
  }
}

TEST(AttentionTest, IsNearTheReferenceForEachHeadDimension) {
  for (const int head_dim : {64, 128, 80, 96, 2, 18, 256}) {
    SCOPED_TRACE(head_dim);
    ExpectShapeNearReference(
        {.heads = 3, .kv_heads = 1, .key_dim = head_dim, .value_dim = head_dim});
  }
}

TEST(AttentionTest, IsNearTheReferenceForEachBlockSize) {
  for (const int block_tokens : {16, 32, 64, 256}) {
    SCOPED_TRACE(block_tokens);
    ExpectShapeNearReference({.heads = 2, .kv_heads = 1, .block_tokens = block_tokens});
  }
}

TEST(AttentionTest, IsNearTheReferenceForEachGroupOfQueryHeads) {
  for (const int group : {1, 3, 4, 13}) {
    SCOPED_TRACE(group);
    ExpectShapeNearReference({.heads = 2 * group, .kv_heads = 2});
  }
}

TEST(AttentionTest, ReadsItsOwnLayerOnly) {
  ExpectShapeNearReference({.heads = 4, .kv_heads = 2, .layers = 3, .layer = 1});
}

TEST(AttentionTest, OfOnePositionIsItsValue) {
  for (const AttentionVariant& variant : AttentionVariants()) {
    const AttentionSequence sequence({.encoding = variant.encoding}, 1, 3);
    sequence.Store(0, 1);
    ExpectNearReference(variant, sequence, 0, sequence.Attend(variant, 0, 1).data());
  }
}

TEST(StoreKvTest, RoundsToNearestEvenAndKeepsNan) {
  EXPECT_EQ(ToBf16(1.0F), 0x3F80);
  EXPECT_EQ(ToBf16(1.0F + 0x1p-8F), 0x3F80) << "a tie goes to the even neighbour, below";
  EXPECT_EQ(ToBf16(1.0F + 0x3p-8F), 0x3F82) << "a tie goes to the even neighbour, above";
  EXPECT_EQ(ToBf16(1.0F + 0x1.02p-8F), 0x3F81);
  EXPECT_EQ(ToBf16(std::numeric_limits<float>::infinity()), 0x7F80);
  EXPECT_EQ(ToBf16(std::numeric_limits<float>::max()), 0x7F80);
  const float nan = std::bit_cast<float>(0x7F800001U);
  EXPECT_TRUE(std::isnan(FromBf16(ToBf16(nan))));
}

// Head dimension 6: two quads, the second padded. Position 17 is slot 1 of the second block.
TEST(StoreKvTest, KeepsKInBytesWithAScaleForEachToken) {
  const KvLayout layout = {
      .layers = 2, .kv_heads = 2, .key_dim = 6, .value_dim = 6, .block_tokens = 16};
  EXPECT_EQ(layout.bytes_per_token(), 2 * 2 * (8 + 4 + 2 * 6));
  std::vector<uint8_t> first(layout.block_bytes(), 7);
  std::vector<uint8_t> second = first;
  std::byte* const blocks[] = {reinterpret_cast<std::byte*>(first.data()),
                               reinterpret_cast<std::byte*>(second.data())};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // Of 6 dimensions neighbours are rotated: sums and differences 127, 0, 1, -2, -3 / 2, 5 / 2;
  // halves go to even neighbours. The second head has no finite scale.
  const float k[] = {63.5F, 63.5F, -0.5F, 1.5F, 0.5F, -2.0F, 1.0F, nan, 2.0F, 3.0F, 4.0F, 5.0F};
  const float v[12] = {};
  const SequenceSpan span = {0, 1, 17, blocks};
  StoreKv(PoolOf(1), layout, 1, k, v, {&span, 1});
  const auto byte_at = [&](int head, int d) {
    return second[layout.k_offset(1, head) + static_cast<size_t>((d / 4 * 16 + 1) * 4 + d % 4)];
  };
  const auto scale_at = [&](int head) {
    float scale;
    std::memcpy(&scale, &second[layout.k_offset(1, head) + layout.key_scales_offset() + 4], 4);
    return scale;
  };
  const int expected[] = {127, 0, 1, -2, -2, 2, 0, 0};
  for (int d = 0; d < 8; ++d) {
    EXPECT_EQ(byte_at(0, d), 128 + expected[d]) << d;
    EXPECT_EQ(byte_at(1, d), 128) << d;
  }
  EXPECT_EQ(scale_at(0), 1.0F / 2) << "by the rotation's size";
  EXPECT_TRUE(std::isnan(scale_at(1)));
  const auto untouched = static_cast<size_t>(std::count(second.begin(), second.end(), 7));
  EXPECT_EQ(second.size() - untouched, 2U * (8 + 4 + 2 * 6)) << "nothing else was written";
  EXPECT_EQ(std::count(first.begin(), first.end(), 7), static_cast<ptrdiff_t>(first.size()));
}

TEST(StoreKvTest, PutsEachElementWhereTheLayoutSays) {
  KvLayout layout = {.layers = 2, .kv_heads = 2, .key_dim = 6, .value_dim = 4, .block_tokens = 16};
  layout.encoding = KvEncoding::kExact;
  std::vector<float> first(layout.block_bytes() / 4, -1.0F);
  std::vector<float> second = first;
  std::byte* const blocks[] = {reinterpret_cast<std::byte*>(first.data()),
                               reinterpret_cast<std::byte*>(second.data())};
  std::vector<float> k(2 * 2 * 6);
  std::vector<float> v(2 * 2 * 4);
  for (size_t i = 0; i < k.size(); ++i) k[i] = static_cast<float>(100 + i);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(200 + i);
  const SequenceSpan span = {0, 2, 15, blocks};  // positions 15 and 16
  StoreKv(PoolOf(1), layout, 1, k.data(), v.data(), {&span, 1});
  size_t written = 0;
  for (int token = 0; token < 2; ++token) {
    const std::vector<float>& block = token == 0 ? first : second;
    const int slot = token == 0 ? 15 : 0;
    for (int head = 0; head < 2; ++head) {
      const float* at_k = block.data() + layout.k_offset(1, head) / 4;
      const float* at_v = block.data() + layout.v_offset(1, head) / 4;
      const int row = token * 2 + head;
      for (int d = 0; d < 6; ++d) {
        EXPECT_EQ(at_k[(d / 2) * 16 * 2 + slot * 2 + d % 2], k[static_cast<size_t>(row * 6 + d)]);
      }
      for (int d = 0; d < 4; ++d) {
        EXPECT_EQ(at_v[(slot / 2) * 4 * 2 + d * 2 + slot % 2], v[static_cast<size_t>(row * 4 + d)]);
      }
      written += 6 + 4;
    }
  }
  const auto touched = [](const std::vector<float>& block) {
    return block.size() - static_cast<size_t>(std::count(block.begin(), block.end(), -1.0F));
  };
  EXPECT_EQ(touched(first) + touched(second), written) << "nothing else was written";
}

}  // namespace
}  // namespace reprise
