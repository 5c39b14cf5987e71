#pragma once

// The logits behind the last token of prompts computed before: with them, and K and V in the cache,
// a prompt that comes again needs no forward pass. Compared as tokens: no hash decides what is
// equal. Bounded in bytes; what was used longest ago is dropped. Engine thread.
//
// Says nothing of K and V: whether those are still cached is the cache's to know.

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"

namespace reprise {

class PromptEnds {
 public:
  using Logits = std::shared_ptr<const std::vector<float>>;  // [vocabulary]

  explicit PromptEnds(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  // Anew, if it is there already. What is larger than the capacity is not kept.
  void Keep(std::string_view scope, std::span<const TokenId> prompt, std::span<const float> logits);
  // nullptr if unknown.
  Logits Find(std::string_view scope, std::span<const TokenId> prompt);
  void Clear();

  size_t size() const { return entries_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string scope;
    std::vector<TokenId> prompt;
    Logits logits;
    uint64_t hash = 0;

    size_t bytes() const;
  };
  using Entries = std::list<Entry>;

  Entries::iterator Lookup(uint64_t hash, std::string_view scope, std::span<const TokenId> prompt);
  void Drop(Entries::iterator entry);

  size_t capacity_bytes_;
  size_t bytes_ = 0;
  Entries entries_;  // the last used first
  std::unordered_multimap<uint64_t, Entries::iterator> by_hash_;
};

}  // namespace reprise
