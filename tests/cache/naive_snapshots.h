#pragma once

// The snapshots of the naive cache: a list of token strings, and how many states are sequences'
// own. What pins one, the caller says.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "base/ids.h"

namespace reprise {

class NaiveSnapshots {
 public:
  using Words = std::vector<TokenId>;
  struct Snapshot {
    std::string scope;
    Words tokens;  // all before the state
    uint64_t last_tick = 0;
  };
  using Test = std::function<bool(const Snapshot&)>;

  NaiveSnapshots(size_t states, size_t most_working)
      : states_(states), most_working_(most_working) {}

  const Snapshot* Find(const std::string& scope, const Words& tokens) const {
    for (const Snapshot& snapshot : all_)
      if (snapshot.scope == scope && snapshot.tokens == tokens) return &snapshot;
    return nullptr;
  }
  // Tokens before the deepest one within the first `most` of `tokens`; 0: there is none.
  size_t Deepest(const std::string& scope, const Words& tokens, size_t most) const {
    for (size_t length = std::min(most, tokens.size()); length > 0; --length)
      if (Find(scope, {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(length)}))
        return length;
    return 0;
  }
  void Touch(const std::string& scope, const Words& tokens) {
    for (Snapshot& snapshot : all_)
      if (snapshot.scope == scope && snapshot.tokens == tokens) snapshot.last_tick = ++tick_;
  }
  void Add(const std::string& scope, const Words& tokens) {
    all_.push_back({scope, tokens, ++tick_});
  }
  void DropIf(const Test& test) { all_.remove_if(test); }

  // Room for a state; false: there is none. One that is being copied frees none when it goes.
  bool MakeRoom(const Test& pinned, const Snapshot* copied = nullptr) {
    size_t in_hands = 0;
    while (working_ + all_.size() + in_hands >= states_) {
      const Snapshot* oldest = nullptr;
      for (const Snapshot& snapshot : all_)
        if (!pinned(snapshot) && (oldest == nullptr || snapshot.last_tick < oldest->last_tick))
          oldest = &snapshot;
      if (oldest == nullptr) return in_hands > 0;
      in_hands += oldest == copied;
      all_.remove_if([&](const Snapshot& snapshot) { return &snapshot == oldest; });
    }
    return true;
  }
  bool TakeWorking(const Test& pinned, const Snapshot* copied) {
    if (working_ >= most_working_ || !MakeRoom(pinned, copied)) return false;
    ++working_;
    return true;
  }
  void GiveWorking() { --working_; }

  size_t working() const { return working_; }
  const std::list<Snapshot>& all() const { return all_; }

 private:
  size_t states_;
  size_t most_working_;
  size_t working_ = 0;
  uint64_t tick_ = 0;
  std::list<Snapshot> all_;
};

}  // namespace reprise
