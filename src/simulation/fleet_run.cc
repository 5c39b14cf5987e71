#include "simulation/fleet_run.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <queue>
#include <tuple>

#include "simulation/ideal.h"
#include "simulation/replica_model.h"

namespace reprise {
namespace {

// As `reprise serve` tells its load: soon after a request began or ended. What it tells every
// second besides differs from that only by the time that passed, which the decider counts itself;
// so that is left out.
constexpr double kTellSoonSeconds = 0.1;

enum class EventKind : uint8_t { kReplyEnd, kPromptEnd, kTell, kArrival };

struct Event {
  double at = 0;
  EventKind kind = EventKind::kArrival;
  uint64_t number = 0;  // of equal times and kinds the first made comes first
  size_t replica = 0;
  size_t request = 0;
  uint64_t version = 0;  // of a prompt's end: as replies begin and end, it moves

  bool operator>(const Event& other) const {
    return std::tie(at, kind, number) > std::tie(other.at, other.kind, other.number);
  }
};

class FleetRun {
 public:
  FleetRun(const Trace& trace, const FleetOptions& options);
  FleetResult Run();

 private:
  void Push(Event event);
  void Arrive(const Event& event);
  void Begin(size_t replica, double now);
  void EndPrompt(const Event& event);
  void EndReply(const Event& event);
  void Follow(size_t request, double now);
  void Replan(size_t replica);
  void TellSoon(size_t replica, double now);
  void Tell(size_t replica, double now);

  const Trace& trace_;
  const FleetOptions& options_;
  std::unique_ptr<Policy> policy_;
  std::deque<ReplicaModel> replicas_;  // they cannot be moved
  std::vector<uint64_t> versions_;
  std::vector<ToldLoad> loads_;
  std::vector<bool> telling_;
  std::vector<size_t> outstanding_;
  std::vector<double> arrived_;
  std::vector<bool> served_;
  std::vector<double> first_token_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t events_made_ = 0;
  size_t done_ = 0;
  FleetResult result_;
};

FleetRun::FleetRun(const Trace& trace, const FleetOptions& options)
    : trace_(trace),
      options_(options),
      policy_(MakePolicy(options.policy, {.replicas = options.replicas,
                                          .block_tokens = trace.block_tokens,
                                          .seed = options.seed,
                                          .pace = options.pace,
                                          .weights = options.weights})),
      versions_(options.replicas),
      loads_(options.replicas),
      telling_(options.replicas),
      outstanding_(options.replicas),
      arrived_(trace.requests.size()),
      served_(trace.requests.size()) {
  for (size_t i = 0; i < options.replicas; ++i) {
    replicas_.emplace_back(
        ReplicaModel::Options{.number = i,
                              .memory_blocks = options.memory_tokens / trace.block_tokens,
                              .disk_blocks = options.disk_tokens / trace.block_tokens,
                              .block_tokens = trace.block_tokens,
                              .pace = options.pace},
        policy_.get());
  }
  for (size_t i = 0; i < trace.requests.size(); ++i) {
    if (trace.requests[i].follows) continue;
    Push({.at = trace.requests[i].after_seconds * options.time_scale, .request = i});
  }
}

void FleetRun::Push(Event event) {
  event.number = events_made_++;
  events_.push(event);
}

FleetResult FleetRun::Run() {
  constexpr size_t kProgressEvents = 4096;
  for (size_t count = 1; !events_.empty(); ++count) {
    const Event event = events_.top();
    events_.pop();
    result_.simulated_seconds = std::max(result_.simulated_seconds, event.at);
    switch (event.kind) {
      case EventKind::kArrival:
        Arrive(event);
        break;
      case EventKind::kPromptEnd:
        if (event.version == versions_[event.replica]) EndPrompt(event);
        break;
      case EventKind::kReplyEnd:
        EndReply(event);
        break;
      case EventKind::kTell:
        Tell(event.replica, event.at);
        break;
    }
    if (count % kProgressEvents == 0 && options_.progress &&
        !options_.progress(static_cast<double>(done_) /
                           static_cast<double>(trace_.requests.size()))) {
      result_.stopped = true;
      break;
    }
  }
  if (!first_token_.empty()) {
    std::ranges::sort(first_token_);
    result_.first_token_p50 = first_token_[first_token_.size() / 2];
    result_.first_token_p99 = first_token_[first_token_.size() * 99 / 100];
  }
  for (size_t i = 0; i < trace_.requests.size(); ++i) {
    if (served_[i]) result_.order.push_back(i);
  }
  std::ranges::stable_sort(result_.order, {}, [&](size_t i) { return arrived_[i]; });
  for (const ReplicaModel& replica : replicas_) {
    result_.busy_seconds.push_back(replica.busy_seconds());
  }
  return result_;
}

void FleetRun::Arrive(const Event& event) {
  arrived_[event.request] = event.at;
  const size_t replica = policy_->Choose(
      trace_, event.request, {.now = event.at, .loads = loads_, .outstanding = outstanding_});
  ++outstanding_[replica];
  replicas_[replica].Enqueue(event.request);
  TellSoon(replica, event.at);
  Begin(replica, event.at);
}

void FleetRun::Begin(size_t replica, double now) {
  ReplicaModel::Begun begun;
  switch (replicas_[replica].TryBegin(trace_, now, begun)) {
    case ReplicaModel::Start::kNothing:
      return;
    case ReplicaModel::Start::kNoRoom: {
      if (replicas_[replica].running() > 0) return;  // when a reply ends there is more
      const size_t request = replicas_[replica].DropFirst();
      policy_->Begun(trace_, request, replica, 0);
      ++result_.refused;
      ++done_;
      --outstanding_[replica];
      TellSoon(replica, now);
      Follow(request, now);
      return Begin(replica, now);
    }
    case ReplicaModel::Start::kBegun:
      break;
  }
  policy_->Begun(trace_, begun.request, replica, begun.read_tokens + begun.loaded_tokens);
  ++result_.requests;
  served_[begun.request] = true;
  result_.largest_request_seconds =
      std::max(result_.largest_request_seconds, replicas_[replica].last_seconds());
  result_.prompt_tokens += trace_.requests[begun.request].tokens;
  result_.read_tokens += begun.read_tokens;
  result_.loaded_tokens += begun.loaded_tokens;
  Replan(replica);
}

void FleetRun::Replan(size_t replica) {
  const std::optional<std::pair<size_t, double>> end = replicas_[replica].PromptEnd();
  if (!end) return;
  Push({.at = end->second,
        .kind = EventKind::kPromptEnd,
        .replica = replica,
        .request = end->first,
        .version = ++versions_[replica]});
}

void FleetRun::EndPrompt(const Event& event) {
  ++versions_[event.replica];
  first_token_.push_back(event.at - arrived_[event.request]);
  Push({.at = replicas_[event.replica].EndPrompt(trace_, event.at),
        .kind = EventKind::kReplyEnd,
        .replica = event.replica,
        .request = event.request});
  Begin(event.replica, event.at);
}

void FleetRun::EndReply(const Event& event) {
  replicas_[event.replica].EndReply(event.request, event.at);
  --outstanding_[event.replica];
  ++done_;
  TellSoon(event.replica, event.at);
  Replan(event.replica);
  Begin(event.replica, event.at);
  Follow(event.request, event.at);
}

// The session's next request, which waited for this one.
void FleetRun::Follow(size_t request, double now) {
  const size_t next = request + 1;
  if (next >= trace_.requests.size() || !trace_.requests[next].follows) return;
  Push({.at = now + trace_.requests[next].after_seconds * options_.time_scale, .request = next});
}

void FleetRun::TellSoon(size_t replica, double now) {
  if (telling_[replica]) return;
  telling_[replica] = true;
  Push({.at = now + kTellSoonSeconds, .kind = EventKind::kTell, .replica = replica});
}

void FleetRun::Tell(size_t replica, double now) {
  loads_[replica] = {.ahead_seconds = replicas_[replica].AheadSeconds(trace_, now),
                     .at_seconds = now};
  telling_[replica] = false;
}

}  // namespace

double FleetResult::hit_rate() const {
  if (prompt_tokens == 0) return 0;
  return static_cast<double>(read_tokens + loaded_tokens) / static_cast<double>(prompt_tokens);
}

double FleetResult::mean_busy_seconds() const {
  const double sum = std::accumulate(busy_seconds.begin(), busy_seconds.end(), 0.0);
  return sum / static_cast<double>(busy_seconds.size());
}

double FleetResult::imbalance() const {
  const double mean = mean_busy_seconds();
  return mean == 0 ? 1 : std::ranges::max(busy_seconds) / mean;
}

double FleetResult::least_imbalance() const {
  const double mean = mean_busy_seconds();
  return mean == 0 ? 1 : std::max(1.0, largest_request_seconds / mean);
}

double FleetResult::utilisation() const {
  return simulated_seconds == 0 ? 0 : mean_busy_seconds() / simulated_seconds;
}

FleetResult RunFleet(const Trace& trace, const FleetOptions& options) {
  return FleetRun(trace, options).Run();
}

size_t IdealBlocks(const Trace& trace, const FleetOptions& options) {
  // What is in memory lies on the disk too.
  const size_t tokens = std::max(options.memory_tokens, options.disk_tokens);
  return options.replicas * (tokens / trace.block_tokens);
}

double ScaleForUtilisation(const Trace& trace, const FleetOptions& options, double utilisation) {
  std::vector<size_t> order(trace.requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return trace.requests[i].at_seconds; });
  const double busy =
      PlayIdeal(trace, IdealBlocks(trace, options), order, options.pace).busy_seconds;
  return busy / (utilisation * static_cast<double>(options.replicas) * trace.seconds);
}

}  // namespace reprise
