#pragma once

// What the cache dropped lately, and why: so that a later miss can be explained. It knows no nodes,
// only blocks of tokens behind paths that it tells apart by their hashes, and a fixed number of
// them; the oldest is forgotten first. A collision of hashes may misname a cause; what is served
// never depends on this. Not included outside this folder. Owned by the engine thread.
//
// A drop is found by what a lookup has at hand when it stops behind full nodes with more of the
// prompt left: by the whole block that would have come next or, if no such block was dropped, by
// its first token, since the prompt may end in that block or part from it further on. Of several
// with one first token the last one is known.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "cache/loss.h"

namespace reprise::internal {

class DropLog {
 public:
  using Tokens = std::span<const TokenId>;

  // Remembers the last `capacity` drops. 0: none.
  DropLog(size_t capacity, size_t block_tokens)
      : capacity_(capacity), block_tokens_(block_tokens) {}

  // A block of these tokens, behind the path of hash `parent`, was dropped. O(block_tokens).
  void Add(uint64_t parent, Tokens tokens, const Loss& loss);
  // What dropped block would have gone on behind that path with more than `known` tokens of `rest`,
  // which is not empty. O(block_tokens).
  std::optional<Loss> Find(uint64_t parent, Tokens rest, size_t known) const;

  size_t size() const { return records_.size(); }

 private:
  static constexpr size_t kKeys = 2;  // of the whole block (full ones), of its first token
  struct Record {
    std::array<uint64_t, kKeys> keys = {};
    size_t token_count = 0;
    Loss loss;
  };

  uint64_t BlockKey(uint64_t parent, Tokens tokens) const;
  static uint64_t FirstTokenKey(uint64_t parent, Tokens tokens);
  void Forget(size_t place);

  size_t capacity_;
  size_t block_tokens_;
  std::vector<Record> records_;                  // a ring once it is full
  std::vector<TokenId> tokens_;                  // [records, block_tokens]
  size_t next_ = 0;                              // the place of the next drop
  std::unordered_map<uint64_t, size_t> places_;  // by key; the latest drop of each
};

}  // namespace reprise::internal
