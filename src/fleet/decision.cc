#include "fleet/decision.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"

namespace reprise {
namespace {

constexpr Duration kRemembered = std::chrono::seconds(10);  // load is told every second

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

double TokensOf(const PromptShape& shape, uint32_t blocks) {
  return static_cast<double>(
      std::min(static_cast<size_t>(blocks) * shape.block_tokens, shape.tokens));
}

// Tokens from `first` to `end`, of which token i attends to i keys.
double ComputeSeconds(double first, double end, const ReplicaLoad& pace) {
  return (end - first) * pace.seconds_per_token +
         (end * end - first * first) / 2 * pace.seconds_per_token_and_key;
}

// What the work of a prompt takes there.
double WorkSeconds(const PromptShape& shape, const Reach& reach, const ReplicaLoad& pace) {
  const double memory = TokensOf(shape, reach.memory_blocks);
  const double disk = TokensOf(shape, reach.disk_blocks);
  const double loadable = TokensOf(shape, reach.loadable_blocks);
  return ComputeSeconds(loadable, static_cast<double>(shape.tokens), pace) +
         (disk - memory) * pace.disk_seconds_per_token +
         (loadable - disk) * pace.shared_seconds_per_token;
}

DecisionReason ReasonOf(size_t ready, uint32_t longest, uint32_t here) {
  if (ready == 1) return DecisionReason::kOnly;
  if (longest == 0) return DecisionReason::kFree;
  return here < longest ? DecisionReason::kSpread : DecisionReason::kHeld;
}

// Rates that are not known are the fastest one's; kGuessedPace if nobody knows any.
std::vector<ReplicaLoad> WithKnownPaces(std::span<const ReplicaLoad> told) {
  std::vector<ReplicaLoad> loads(told.begin(), told.end());
  const auto known = [](const ReplicaLoad& load) { return load.seconds_per_token > 0; };
  ReplicaLoad fastest{.seconds_per_token = Decider::kGuessedPace};
  bool any = false;
  for (const ReplicaLoad& load : loads) {
    if (!known(load) || (any && load.seconds_per_token >= fastest.seconds_per_token)) continue;
    fastest = load;
    any = true;
  }
  for (ReplicaLoad& load : loads) {
    if (known(load)) continue;
    load.seconds_per_token = fastest.seconds_per_token;
    load.seconds_per_token_and_key = fastest.seconds_per_token_and_key;
  }
  return loads;
}

}  // namespace

std::optional<Decision> Decider::Choose(const PromptShape& shape, std::span<const Reach> reach,
                                        std::span<const ReplicaLoad> told, TimePoint now) const {
  CHECK(reach.size() == told.size() && told.size() <= limits::kMaxReplicas,
        "reach and load are of the same replicas");
  const std::vector<ReplicaLoad> loads = WithKnownPaces(told);
  size_t ready = 0;
  uint32_t longest = 0;
  double lately = 0;
  for (size_t replica = 0; replica < loads.size(); ++replica) {
    if (!loads[replica].ready) continue;
    ++ready;
    longest = std::max(longest, reach[replica].loadable_blocks);
    lately += Lately(replica, now);
  }
  if (ready == 0) return std::nullopt;
  const double mean = lately / static_cast<double>(ready);
  const double held = TokensOf(shape, longest);

  Decision best;
  double least = INFINITY;
  for (size_t turn = 0; turn < loads.size(); ++turn) {
    const size_t replica = (shape.tie + turn) % loads.size();  // of equal ones the first
    if (!loads[replica].ready) continue;
    const ReplicaLoad& pace = loads[replica];
    const double own = Lately(replica, now);
    const double share = mean > 0 ? own / mean : 1;
    const bool does_too_much = own > weights_.most_share * mean + weights_.slack_seconds;
    const double work = WorkSeconds(shape, reach[replica], pace);
    const double expected =
        work + AheadSeconds(replica, loads[replica], now) +
        static_cast<double>(loads[replica].replies) * kReplyTokens * pace.seconds_per_token;
    // What was promised to be kept stays a reason to come.
    const uint32_t reached = reach[replica].loadable_blocks;
    const double here = TokensOf(
        shape,
        does_too_much ? std::min(reached, static_cast<uint32_t>(shape.marked_blocks)) : reached);
    const double again = ComputeSeconds(here, held, pace);
    const double price = expected + weights_.again * again + weights_.place * work * share;
    if (price >= least) continue;
    least = price;
    best = {.replica = replica,
            .reason = ReasonOf(ready, longest, reach[replica].loadable_blocks),
            .expected_seconds = expected,
            .work_seconds = work,
            .expected_read_tokens =
                static_cast<size_t>(TokensOf(shape, reach[replica].loadable_blocks))};
  }
  return best;
}

void Decider::NoteSent(const Decision& decision, TimePoint now) {
  Account& account = accounts_[decision.replica];
  while (!account.sent.empty() && now - account.sent.front().at > kRemembered) {
    account.sent.pop_front();
  }
  account.sent.push_back({now, decision.work_seconds});
  account.work_seconds = Lately(decision.replica, now) + decision.work_seconds;
  account.as_of = now;
}

void Decider::NoteRead(const PromptShape& shape, const Decision& decision, size_t read_tokens,
                       const ReplicaLoad& load) {
  const double all = static_cast<double>(shape.tokens);
  const auto work = [&](size_t read) {
    return ComputeSeconds(std::min(static_cast<double>(read), all), all, load);
  };
  accounts_[decision.replica].work_seconds +=
      work(read_tokens) - work(decision.expected_read_tokens);
}

void Decider::Forget(size_t replica, TimePoint now) {
  double sum = 0;
  size_t others = 0;
  for (size_t other = 0; other < accounts_.size(); ++other) {
    const double lately = other == replica ? 0 : Lately(other, now);
    sum += lately;
    others += lately > 0;
  }
  accounts_[replica] = {.sent = {},
                        .work_seconds = others == 0 ? 0 : sum / static_cast<double>(others),
                        .as_of = now};
}

double Decider::AheadSeconds(size_t replica, const ReplicaLoad& load, TimePoint now) const {
  double ahead = load.ahead_seconds;
  for (const Sent& sent : accounts_[replica].sent) {
    if (sent.at > load.told) ahead += sent.seconds;
  }
  return std::max(0.0, ahead - Seconds(now - load.told));
}

double Decider::Lately(size_t replica, TimePoint now) const {
  const Account& account = accounts_[replica];
  return account.work_seconds * std::exp(-Seconds(now - account.as_of) / kLatelySeconds);
}

}  // namespace reprise
