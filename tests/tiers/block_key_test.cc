#include "tiers/block_key.h"

#include <gtest/gtest.h>

#include <vector>

namespace reprise {
namespace {

TEST(Sha256Test, GivesTheValuesOfTheStandard) {
  // FIPS 180-4's example of one block.
  const std::string_view text = "abc";
  Sha256Hasher hasher;
  hasher.Add(std::as_bytes(std::span(text)));
  EXPECT_EQ(hasher.Finish().Hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(BlockKeyTest, EveryPartOfWhatABlockDependsOnCounts) {
  const Sha256 model = Sha256Hasher().Add("model").Finish();
  const Sha256 other_model = Sha256Hasher().Add("another").Finish();
  const BlockKey root = RootKey(model, "scope");
  EXPECT_EQ(root, RootKey(model, "scope"));
  EXPECT_NE(root, RootKey(other_model, "scope"));
  EXPECT_NE(root, RootKey(model, "scopf"));
  const std::vector<TokenId> tokens = {1, 2, 3}, others = {1, 2, 4}, fewer = {1, 2};
  const BlockKey key = ChildKey(root, tokens);
  EXPECT_EQ(key, ChildKey(root, tokens));
  EXPECT_NE(key, ChildKey(root, others));
  EXPECT_NE(key, ChildKey(root, fewer));
  EXPECT_NE(key, ChildKey(RootKey(other_model, "scope"), tokens));
  EXPECT_NE(ChildKey(key, tokens), key) << "the same tokens further on";
  EXPECT_EQ(StatePartKey(key, 1), StatePartKey(key, 1));
  EXPECT_NE(StatePartKey(key, 0), key);
  EXPECT_NE(StatePartKey(key, 0), StatePartKey(key, 1));
  EXPECT_NE(StatePartKey(key, 0), StatePartKey(root, 0));
}

}  // namespace
}  // namespace reprise
