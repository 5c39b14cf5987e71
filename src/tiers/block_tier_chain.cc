// What BlockTier reads for an order: a chain of blocks, and a recurrent state behind it.

#include <span>
#include <vector>

#include "tiers/block_tier.h"

namespace reprise {

BlockTier::Chain BlockTier::FindChain(TierFetch& fetch) {
  const TierFetch::Order& order = fetch.order_;
  if (order.state_parts > 0) return FindChainWithState(fetch);
  Chain chain;
  const size_t found = store_->Find(order.keys);
  if (found < order.keys.size()) chain.end = store_->WhyMissing(order.keys[found]);
  chain.keys.assign(order.keys.begin(), order.keys.begin() + static_cast<std::ptrdiff_t>(found));
  const std::span<const TokenId> tokens(order.tokens);
  for (size_t i = 0; i < found; ++i) {
    chain.tokens.push_back(tokens.subspan(i * options_.block_tokens, options_.block_tokens));
  }
  chain.compute_seconds =
      order.compute_seconds * static_cast<double>(found) / static_cast<double>(order.keys.size());
  return chain;
}

size_t BlockTier::FindState(std::span<const BlockKey> blocks, size_t parts) {
  std::vector<BlockKey> firsts;
  firsts.reserve(blocks.size());
  for (const BlockKey& block : blocks) firsts.push_back(StatePartKey(block, 0));
  std::vector<BlockKey> all(parts);
  for (size_t count = blocks.size(); count > 0; --count) {
    count = store_->FindLast(std::span(firsts).first(count));
    ++progress_;
    if (count == 0) return 0;
    for (size_t i = 0; i < parts; ++i) {
      all[i] = StatePartKey(blocks[count - 1], static_cast<uint32_t>(i));
    }
    if (store_->Find(all) == parts) return count;
  }
  return 0;
}

BlockTier::Chain BlockTier::FindChainWithState(TierFetch& fetch) {
  const TierFetch::Order& order = fetch.order_;
  const std::span<const BlockKey> keys(order.keys);
  const std::span<const TokenId> tokens(order.tokens);
  Chain chain;
  const size_t found = order.in_memory + store_->Find(keys.subspan(order.in_memory));
  ++progress_;
  if (found < keys.size()) chain.end = store_->WhyMissing(keys[found]);
  const size_t behind = FindState(keys.first(found), order.state_parts);
  if (behind == 0) {
    if (found > 0) chain.end = store_->WhyMissing(StatePartKey(keys[found - 1], 0));
    return chain;
  }
  for (size_t i = order.in_memory; i < behind; ++i) {
    chain.keys.push_back(keys[i]);
    chain.tokens.push_back(tokens.subspan(i * options_.block_tokens, options_.block_tokens));
  }
  const auto last = tokens.subspan((behind - 1) * options_.block_tokens, options_.block_tokens);
  for (size_t i = 0; i < order.state_parts; ++i) {
    chain.keys.push_back(StatePartKey(keys[behind - 1], static_cast<uint32_t>(i)));
    chain.tokens.push_back(last);
  }
  chain.compute_seconds =
      order.compute_seconds * static_cast<double>(behind) / static_cast<double>(keys.size());
  fetch.state_behind_ = behind;
  return chain;
}

}  // namespace reprise
