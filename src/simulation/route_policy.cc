#include "simulation/route_policy.h"

#include <algorithm>

namespace reprise {
namespace {

constexpr size_t kKnownBlocks = size_t{4} << 20;

TimePoint At(double seconds) {
  return TimePoint(Duration(static_cast<int64_t>(seconds * 1e9) + 1'000'000'000));
}

}  // namespace

RoutePolicy::RoutePolicy(const PolicyOptions& options)
    : options_(options),
      holdings_(kKnownBlocks),
      decider_(options.weights),
      reach_(options.replicas),
      loads_(options.replicas) {}

size_t RoutePolicy::Choose(const Trace& trace, size_t index, const FleetView& fleet) {
  const TraceRequest& request = trace.requests[index];
  chain_.clear();
  std::ranges::transform(request.blocks, std::back_inserter(chain_), NameOfNumber);
  for (size_t i = 0; i < loads_.size(); ++i) {
    loads_[i] = {.ready = true,
                 .seconds_per_token = options_.pace.seconds_per_token,
                 .seconds_per_token_and_key = options_.pace.seconds_per_token_and_key(),
                 .disk_seconds_per_token = options_.pace.disk_seconds_per_token,
                 .shared_seconds_per_token = 0,
                 .ahead_seconds = fleet.loads[i].ahead_seconds,
                 .told = At(fleet.loads[i].at_seconds),
                 .replies = fleet.outstanding[i]};
  }
  holdings_.Find(chain_, reach_);
  const TimePoint now = At(fleet.now);
  const Decision decision = *decider_.Choose(ShapeOf(request), reach_, loads_, now);
  decider_.NoteSent(decision, now);
  sent_[index] = decision;
  for (const BlockName name : chain_) holdings_.Store(decision.replica, Level::kComing, name);
  return decision.replica;
}

void RoutePolicy::Begun(const Trace& trace, size_t index, size_t replica, size_t read_tokens) {
  const TraceRequest& request = trace.requests[index];
  for (const TokenId block : request.blocks) {
    holdings_.Remove(replica, Level::kComing, NameOfNumber(block));
  }
  decider_.NoteRead(ShapeOf(request), sent_.at(index), read_tokens, loads_[replica]);
  sent_.erase(index);
}

PromptShape RoutePolicy::ShapeOf(const TraceRequest& request) const {
  return {.tokens = request.tokens,
          .block_tokens = options_.block_tokens,
          .marked_blocks = 0,
          .tie = request.blocks.empty() ? 0 : NameOfNumber(request.blocks.back())};
}

void RoutePolicy::Stored(size_t replica, Level level, TokenId block) {
  holdings_.Store(replica, level, NameOfNumber(block));
}

void RoutePolicy::Removed(size_t replica, Level level, TokenId block) {
  holdings_.Remove(replica, level, NameOfNumber(block));
}

}  // namespace reprise
