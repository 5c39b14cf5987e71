#pragma once

// Blocks in the order of their last use. Not thread-safe.

#include <cstddef>
#include <list>
#include <unordered_map>

#include "base/ids.h"

namespace reprise {

class RecentBlocks {
 public:
  // It is the last used one now. True: it was not there.
  bool Use(TokenId block) {
    const auto [found, added] = places_.try_emplace(block);
    if (!added) order_.erase(found->second);
    order_.push_front(block);
    found->second = order_.begin();
    return added;
  }
  // REQUIRES: there is one.
  TokenId DropOldest() {
    const TokenId oldest = order_.back();
    order_.pop_back();
    places_.erase(oldest);
    return oldest;
  }
  bool contains(TokenId block) const { return places_.contains(block); }
  size_t size() const { return places_.size(); }

 private:
  std::list<TokenId> order_;  // the last used first
  std::unordered_map<TokenId, std::list<TokenId>::iterator> places_;
};

}  // namespace reprise
