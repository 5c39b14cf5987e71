#include "engine/state_keeper.h"

#include <algorithm>
#include <span>
#include <utility>

namespace reprise {

size_t StateKeeper::BlockEdge(size_t tokens) const {
  const auto block_tokens = static_cast<size_t>(cache_->block_tokens());
  return tokens / block_tokens * block_tokens;
}

size_t StateKeeper::ReadLimit(const Sequence& sequence, size_t most) const {
  if (!active() || sequence.started || sequence.request.breakpoints.empty()) return most;
  if (cache_->sizes().pin_capacity_snapshots == 0) return most;
  const std::span<const TokenId> tokens(sequence.tokens);
  const std::string& scope = sequence.request.scope;
  const size_t known = cache_->Peek(scope, tokens.first(most));
  for (const Breakpoint& breakpoint : sequence.request.breakpoints) {
    if (breakpoint.tokens > known) break;
    if (!cache_->TouchSnapshot(scope, tokens.first(breakpoint.tokens))) return breakpoint.tokens;
  }
  return most;
}

bool StateKeeper::Begin(Sequence& sequence, PrefixMatch& match) const {
  if (!active()) return true;
  const bool needs_state = sequence.generates() || match.tokens < sequence.tokens.size();
  if (needs_state) {
    sequence.state = cache_->TakeState(std::move(match.state));
    if (sequence.state.empty()) return false;
  }
  sequence.state_places.clear();
  if (!sequence.publishes()) return true;
  for (const Breakpoint& breakpoint : sequence.request.breakpoints) {
    sequence.state_places.insert(breakpoint.tokens);
  }
  sequence.state_places.insert(sequence.prompt_size());
  if (below_ == Below::kStores) {
    const std::set<size_t> places = sequence.state_places;
    for (const size_t place : places) sequence.state_places.insert(BlockEdge(place));
  }
  if (!sequence.state_places.contains(match.known)) {
    sequence.state_places.insert(BlockEdge(match.known));
  }
  return true;
}

size_t StateKeeper::RowsToPlace(const Sequence& sequence, size_t rows) const {
  if (!active() || !sequence.publishes()) return rows;
  size_t next = (sequence.computed / interval_ + 1) * interval_;
  const auto place = sequence.state_places.upper_bound(sequence.computed);
  if (place != sequence.state_places.end()) next = std::min(next, *place);
  return std::min(rows, next - sequence.computed);
}

bool StateKeeper::AtPlace(const Sequence& sequence) const {
  if (!active() || !sequence.publishes()) return false;
  return sequence.computed % interval_ == 0 || sequence.state_places.contains(sequence.computed);
}

void StateKeeper::Keep(Sequence& sequence) const {
  // Who goes on no more gives its state away.
  if (sequence.state.empty() || (!sequence.generates() && sequence.uncomputed() == 0)) return;
  cache_->PublishState(sequence.request.scope,
                       std::span<const TokenId>(sequence.tokens).first(sequence.computed),
                       sequence.lease, sequence.state, StateUse::kCopy, sequence.reservation);
}

void StateKeeper::Give(Sequence& sequence) const {
  if (sequence.state.empty()) return;
  if (sequence.publishes() && sequence.computed > 0) {
    cache_->PublishState(sequence.request.scope,
                         std::span<const TokenId>(sequence.tokens).first(sequence.computed),
                         sequence.lease, sequence.state, StateUse::kGive, sequence.reservation);
  }
  sequence.state.Release();
}

size_t StateKeeper::MeetingPlace(Sequence& owner, size_t common) const {
  auto& places = owner.state_places;
  const auto behind = places.upper_bound(common);
  const size_t marked = behind == places.begin() ? 0 : *std::prev(behind);
  const size_t place = std::max(marked, BlockEdge(common));
  if (place <= owner.computed) return 0;
  places.insert(place);
  return place;
}

}  // namespace reprise
