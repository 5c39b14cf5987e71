#pragma once

// A prefix cache with blocks of four tokens, and sequences that fill it. A row's payload is its
// token.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cache/block_pool.h"
#include "cache/prefix_cache.h"

namespace reprise {

using Words = std::vector<TokenId>;

inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class PrefixCacheTest : public testing::Test {
 protected:
  static constexpr size_t kBlockTokens = 4;

  PrefixCacheTest() { Reset(8); }
  ~PrefixCacheTest() override { cache_->Check(); }

  void Reset(size_t blocks, Duration retention = std::chrono::seconds(10), size_t pin_blocks = 0,
             size_t pin_blocks_per_tenant = 0) {
    cache_.reset();
    pool_ = BlockPool::Create(blocks, kBlockTokens * sizeof(TokenId)).value();
    cache_ = std::make_unique<PrefixCache>(
        pool_.get(), &clock_,
        PrefixCache::Options{.block_tokens = kBlockTokens,
                             .retention = retention,
                             .pin_blocks = pin_blocks,
                             .pin_blocks_per_tenant = pin_blocks_per_tenant});
  }

  struct Sequence {
    std::vector<BlockId> table;
    Lease lease;
  };

  BlockId Compute(const Words& rows) {
    const BlockId block = cache_->Allocate().value();
    Write(block, rows);
    return block;
  }
  void Write(BlockId block, const Words& rows) {
    std::memcpy(pool_->data(block), rows.data(), rows.size() * sizeof(TokenId));
  }
  Words Rows(BlockId block, size_t count) {
    Words rows(count);
    std::memcpy(rows.data(), pool_->data(block), count * sizeof(TokenId));
    return rows;
  }

  // Publishes what is not published yet of tokens, as a sequence that keeps its lease.
  Sequence Run(const Words& tokens, std::string_view scope = "") {
    Sequence sequence;
    PrefixMatch match = cache_->Match(scope, tokens, tokens.size());
    match.partial_lease.Release();
    for (const BlockId block : match.blocks) pool_->Reference(block);
    sequence.table = match.blocks;
    sequence.lease = std::move(match.lease);
    for (size_t first = match.blocks.size() * kBlockTokens; first < tokens.size();
         first += kBlockTokens) {
      const size_t end = std::min(first + kBlockTokens, tokens.size());
      const BlockId block = Compute({tokens.begin() + first, tokens.begin() + end});
      sequence.table.push_back(
          cache_->Publish(scope, std::span(tokens).first(end), first, block, sequence.lease));
    }
    return sequence;
  }
  void End(Sequence sequence) {
    for (const BlockId block : sequence.table) pool_->Release(block);
  }
  void RunAndEnd(const Words& tokens, std::string_view scope = "") { End(Run(tokens, scope)); }

  size_t Cached(const Words& tokens, std::string_view scope = "") {
    return cache_->Peek(scope, tokens);
  }
  // Takes the free blocks, so that the next Allocate evicts.
  std::vector<BlockId> TakeAllFree() {
    std::vector<BlockId> blocks;
    while (pool_->free_blocks() > 0) blocks.push_back(cache_->Allocate().value());
    return blocks;
  }
  void GiveBack(const std::vector<BlockId>& blocks) {
    for (const BlockId block : blocks) pool_->Release(block);
  }

  ManualClock clock_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<PrefixCache> cache_;
};

}  // namespace reprise
