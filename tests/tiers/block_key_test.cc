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

TEST(BlockKeyTest, AChainNamesFullBlocksByTheirKeysFirstBytes) {
  const Sha256 model = Sha256Hasher().Add("model").Finish();
  const std::vector<TokenId> tokens = {1, 2, 3, 4, 5};
  const std::span<const TokenId> all(tokens);
  const BlockKey first = ChildKey(RootKey(model, "scope"), all.first(2));
  const BlockKey second = ChildKey(first, all.subspan(2, 2));
  EXPECT_EQ(ChainOf(model, "scope", tokens, 2),
            (std::vector<BlockName>{NameOf(first), NameOf(second)}));
  EXPECT_TRUE(ChainOf(model, "scope", all.first(1), 2).empty());
  Sha256 counted;
  for (size_t i = 0; i < counted.bytes.size(); ++i)
    counted.bytes[i] = static_cast<std::byte>(i + 1);
  EXPECT_EQ(NameOf(counted), 0x0807060504030201U);
}

}  // namespace
}  // namespace reprise
