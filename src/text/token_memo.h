#pragma once

// Remembers the ids of segments of text, so that the unchanged part of a long prompt is not
// tokenised again. Bounded in bytes; what was not used for longest goes first. Holds the text
// itself, so an answer is never that of another segment. Thread-safe.

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"

namespace reprise {

class TokenMemo {
 public:
  explicit TokenMemo(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  // Appends the segment's ids; false if they are not known.
  bool AppendKnown(std::string_view segment, std::vector<TokenId>* ids);
  // Keeps them, unless the segment alone is over the capacity.
  void Remember(std::string_view segment, const TokenId* ids, size_t count);

  size_t used_bytes() const;

 private:
  struct Entry {
    std::string segment;
    std::vector<TokenId> ids;
    size_t bytes() const;
  };
  using Entries = std::list<Entry>;  // most recently used first

  mutable std::mutex mutex_;
  const size_t capacity_bytes_;
  size_t used_bytes_ = 0;                                            // GUARDED_BY(mutex_)
  Entries entries_;                                                  // GUARDED_BY(mutex_)
  std::unordered_map<std::string_view, Entries::iterator> by_text_;  // GUARDED_BY(mutex_)
};

}  // namespace reprise
