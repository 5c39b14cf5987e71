// LowerTier's dealings with recurrent states, which come and go in parts as large as blocks.

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>
#include <vector>

#include "engine/lower_tier.h"

namespace reprise {

size_t LowerTier::StateParts() const {
  return (options_.state_bytes + pool_->block_bytes() - 1) / pool_->block_bytes();
}

// The next part of the state behind the blocks. False: there is no room.
bool LowerTier::TakeInState(Sequence& sequence, const std::byte* payload) {
  Sequence::Below& below = sequence.below;
  if (below.next_part == 0) below.state = cache_->TakeState({});
  if (below.state.empty()) return false;
  const size_t offset = below.next_part * pool_->block_bytes();
  std::memcpy(below.state.data() + offset, payload,
              std::min(pool_->block_bytes(), options_.state_bytes - offset));
  if (++below.next_part < StateParts()) return true;
  const size_t end = below.first_block + below.fetch->state_behind();
  const auto tokens = std::span<const TokenId>(sequence.tokens).first(end * block_tokens_);
  const Lease lease = cache_->Hold(sequence.request.scope, tokens);
  Reservation none;
  cache_->PublishState(sequence.request.scope, tokens, lease, below.state, StateUse::kGive, none);
  below.states.insert(end - 1);
  return true;
}

BlockUse LowerTier::StatePartUse(Sequence& sequence, size_t block, size_t part,
                                 WallSeconds when) const {
  const size_t depth = block + StateParts() - part;  // the first part goes first: see FindState
  return {StatePartKey(Keys(sequence, block + 1)[block], static_cast<uint32_t>(part)),
          static_cast<uint32_t>(depth),
          when,
          {}};
}

void LowerTier::OfferState(Sequence& sequence) {
  if (levels_.empty() || sequence.state.empty() || !sequence.publishes()) return;
  if (sequence.computed == 0 || sequence.computed % block_tokens_ != 0) return;
  const size_t block = sequence.computed / block_tokens_ - 1;
  if (!sequence.below.states.insert(block).second) return;
  const size_t bytes = pool_->block_bytes();
  std::vector<std::byte> last(bytes);  // which may be shorter
  const WallSeconds now = WallSecondsNow();
  bool offered = false;
  for (Level& level : levels_) {
    // The first part is written last: one that is there has the others.
    for (size_t part = StateParts(); part-- > 0;) {
      const std::byte* payload = sequence.state.data() + part * bytes;
      if ((part + 1) * bytes > options_.state_bytes) {
        std::memcpy(last.data(), payload, options_.state_bytes - part * bytes);
        payload = last.data();
      }
      const BlockUse use = StatePartUse(sequence, block, part, now);
      if (!level.tier->Offer(use, BlockTokens(sequence, block), payload)) break;
      offered = offered || part == 0;
    }
  }
  if (!offered) sequence.below.states.erase(block);
}

// Of the states that it read or offered behind its first `blocks` blocks. A promise keeps the
// deepest one that it needs.
void LowerTier::AddStateUses(Sequence& sequence, size_t blocks, WallSeconds when,
                             std::vector<BlockUse>& uses) const {
  if (StateParts() == 0) return;
  std::set<size_t>& states = sequence.below.states;
  if (sequence.cached_tokens > 0 && sequence.cached_tokens % block_tokens_ == 0) {
    states.insert(sequence.cached_tokens / block_tokens_ - 1);
  }
  for (auto state = states.begin(); state != states.end() && *state < blocks; ++state) {
    const size_t edge = (*state + 1) * block_tokens_;
    const auto next = std::next(state);
    const size_t next_edge =
        next == states.end() ? sequence.tokens.size() + 1 : (*next + 1) * block_tokens_;
    Keep keep;
    for (const BreakpointOutcome& breakpoint : sequence.breakpoints) {
      if (!breakpoint.accepted() || breakpoint.tokens < edge || breakpoint.tokens >= next_edge) {
        continue;
      }
      const auto ttl = std::chrono::duration_cast<std::chrono::seconds>(breakpoint.ttl).count();
      keep.ttl = std::max(keep.ttl, ttl);
    }
    for (size_t part = 0; part < StateParts(); ++part) {
      uses.push_back(StatePartUse(sequence, *state, part, when));
      uses.back().keep = keep;
    }
  }
}

}  // namespace reprise
