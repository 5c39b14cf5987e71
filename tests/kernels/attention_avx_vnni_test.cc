// avx_vnni's attention gives avx2's bits, over everything that a call may vary.

#include <gtest/gtest.h>

#include <cstring>

#include "attention_case.h"
#include "kernels/attention.h"
#include "kernels/isa.h"

namespace reprise {
namespace {

constexpr int kVnniLength = kPartitionTokens + 150;

void ExpectBitsOfAvx2(const AttentionShape& shape) {
  SCOPED_TRACE(testing::Message() << shape);
  const AttentionVariant avx2 = {"avx2", KvEncoding::kFast, avx2::Attention};
  const AttentionVariant avx_vnni = {"avx_vnni", KvEncoding::kFast, avx_vnni::Attention};
  const AttentionSequence sequence(shape, kVnniLength, 29);
  sequence.Store(0, kVnniLength);
  // From one row to more than a micro tile of either, around the edges of blocks and partitions.
  for (const int first : {0, 37, 500, 640}) {
    for (const int rows : {1, 2, 3, 5, 22}) {
      const std::vector<float> expected = sequence.Attend(avx2, first, rows);
      const std::vector<float> out = sequence.Attend(avx_vnni, first, rows);
      EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0)
          << rows << " rows from position " << first;
    }
  }
}

class AttentionAvxVnniTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!CpuOffers(Isa::kAvxVnni)) GTEST_SKIP() << "this CPU lacks AVX-VNNI";
  }
};

TEST_F(AttentionAvxVnniTest, HasTheBitsOfAvx2ForEachHeadDimension) {
  for (const int key_dim : {64, 80, 96, 128, 192, 256, 2, 18}) {
    for (const int value_dim : {key_dim, 72, 20}) {
      ExpectBitsOfAvx2({.heads = 4, .kv_heads = 2, .key_dim = key_dim, .value_dim = value_dim});
    }
  }
}

TEST_F(AttentionAvxVnniTest, HasTheBitsOfAvx2ForEachBlockSizeAndGroup) {
  for (const int block_tokens : {16, 32, 64, 512}) {
    for (const int group : {1, 3, 13}) {
      ExpectBitsOfAvx2({.heads = group, .kv_heads = 1, .block_tokens = block_tokens});
    }
  }
}

TEST_F(AttentionAvxVnniTest, HasTheBitsOfAvx2WithWindowsCapsAndSinks) {
  for (const int window : {0, 1, 33, 512}) {
    for (const float soft_cap : {0.0F, 2.0F}) {
      ExpectBitsOfAvx2({.window = window, .soft_cap = soft_cap, .has_sinks = true});
    }
  }
}

}  // namespace
}  // namespace reprise
