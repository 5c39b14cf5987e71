#include "fleet/decision.h"

#include <algorithm>

#include "base/check.h"

namespace reprise {
namespace {

constexpr Duration kRemembered = std::chrono::seconds(10);  // load is told every second

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// What the work of a prompt takes there.
double WorkSeconds(const PromptShape& shape, const Reach& reach, const ReplicaLoad& load) {
  const auto tokens = [&](uint32_t blocks) {
    return static_cast<double>(
        std::min(static_cast<size_t>(blocks) * shape.block_tokens, shape.tokens));
  };
  const double all = static_cast<double>(shape.tokens);
  const double memory = tokens(reach.memory_blocks);
  const double disk = tokens(reach.disk_blocks), loadable = tokens(reach.loadable_blocks);
  // Token i attends to i keys.
  const double pairs = (all * all - loadable * loadable) / 2;
  return (all - loadable) * load.seconds_per_token + pairs * load.seconds_per_token_and_key +
         (disk - memory) * load.disk_seconds_per_token +
         (loadable - disk) * load.shared_seconds_per_token;
}

}  // namespace

std::optional<Decision> Decider::Choose(const PromptShape& shape, std::span<const Reach> reach,
                                        std::span<const ReplicaLoad> loads, TimePoint now) const {
  CHECK(reach.size() == loads.size() && loads.size() <= limits::kMaxReplicas,
        "reach and load are of the same replicas");
  std::optional<Decision> best;
  size_t ready = 0;
  uint32_t longest = 0;
  for (size_t turn = 0; turn < loads.size(); ++turn) {
    const size_t replica = (shape.tie + turn) % loads.size();  // of equal ones the first wins
    if (!loads[replica].ready) continue;
    ++ready;
    longest = std::max(longest, reach[replica].loadable_blocks);
    const double work = WorkSeconds(shape, reach[replica], loads[replica]);
    const double expected = work + AheadSeconds(replica, loads[replica], now);
    if (best && expected >= best->expected_seconds) continue;
    best = {.replica = replica,
            .expected_seconds = expected,
            .work_seconds = work,
            .expected_read_tokens =
                std::min(reach[replica].loadable_blocks * shape.block_tokens, shape.tokens)};
  }
  if (!best) return std::nullopt;
  const uint32_t here = reach[best->replica].loadable_blocks;
  best->reason = ready == 1       ? DecisionReason::kOnly
                 : longest == 0   ? DecisionReason::kFree
                 : here < longest ? DecisionReason::kSpread
                                  : DecisionReason::kHeld;
  return best;
}

void Decider::NoteSent(const Decision& decision, TimePoint now) {
  std::deque<Sent>& sent = accounts_[decision.replica].sent;
  while (!sent.empty() && now - sent.front().at > kRemembered) sent.pop_front();
  sent.push_back({now, decision.work_seconds});
}

void Decider::Forget(size_t replica) { accounts_[replica].sent.clear(); }

double Decider::AheadSeconds(size_t replica, const ReplicaLoad& load, TimePoint now) const {
  double ahead = load.ahead_seconds;
  for (const Sent& sent : accounts_[replica].sent) {
    if (sent.at > load.told) ahead += sent.seconds;
  }
  return std::max(0.0, ahead - Seconds(now - load.told));
}

}  // namespace reprise
