#pragma once

// Remembers the ids of segments of text, so that the unchanged part of a long prompt is not
// tokenised again. Bounded in bytes; what was not used for longest goes first. Holds the text
// itself, so an answer is never that of another segment. What one tenant's prompts left here is not
// found for another's: how long tokenising takes must not tell what others asked. Thread-safe.

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace reprise {

class TokenMemo {
 public:
  explicit TokenMemo(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  // Appends the segment's ids; false if they are not known.
  bool AppendKnown(std::string_view tenant, std::string_view segment, std::vector<TokenId>* ids);
  // Keeps them, unless the segment alone is over the capacity.
  void Remember(std::string_view tenant, std::string_view segment, const TokenId* ids,
                size_t count);

  size_t used_bytes() const;

 private:
  struct Entry {
    std::string tenant;
    std::string segment;
    std::vector<TokenId> ids;
    size_t bytes() const;
  };
  using Entries = std::list<Entry>;                           // most recently used first
  using Key = std::pair<std::string_view, std::string_view>;  // tenant, segment: views of an entry
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };

  mutable std::mutex mutex_;
  const size_t capacity_bytes_;
  size_t used_bytes_ = 0;                                        // GUARDED_BY(mutex_)
  Entries entries_;                                              // GUARDED_BY(mutex_)
  std::unordered_map<Key, Entries::iterator, KeyHash> by_text_;  // GUARDED_BY(mutex_)
};

}  // namespace reprise
