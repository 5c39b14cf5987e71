#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/log.h"
#include "router/routed_request.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

// "read=64, write=0, computed=12": what replicas of ours say.
std::optional<PromptUsage> UsageOfField(std::string_view field) {
  const auto number = [field](std::string_view name) -> std::optional<size_t> {
    const size_t at = field.find(name);
    if (at == std::string_view::npos) return std::nullopt;
    size_t value = 0;
    std::from_chars(field.data() + at + name.size(), field.data() + field.size(), value);
    return value;
  };
  const std::optional<size_t> read = number("read="), computed = number("computed=");
  if (!read || !computed) return std::nullopt;
  return PromptUsage{*read + *computed, read};
}

Error NoReplica() {
  return {ErrorCode::kCancelled, "No replica is there to answer; ask again in a moment.", ""};
}

}  // namespace

bool RoutedRequest::MayTry(const ReplicaLink& link) const {
  const Replica& replica = link.replica;
  if (tried_[replica.index]) return false;
  // One that alone can answer is asked as long as it may be there: it is stopping, say, but not
  // gone.
  if (!named_.empty()) return replica.name == named_ && replica.health != Replica::Health::kDead;
  if (stored_at_ == replica.index) return replica.health != Replica::Health::kDead;
  return replica.MayBeAsked();
}

bool RoutedRequest::IsReady(const std::shared_ptr<ReplicaLink>& link) const {
  return link != nullptr && MayTry(*link) &&
         (!route_.TakesPlace() || link->replica.outstanding < service_.options.max_outstanding);
}

std::shared_ptr<ReplicaLink> RoutedRequest::ChooseByPrompt() {
  const TimePoint now = std::chrono::steady_clock::now();
  const auto links = service_.replicas.links();
  std::vector<ReplicaLoad> loads(links.size());
  std::vector<Reach> reach(links.size());
  for (size_t i = 0; i < links.size(); ++i) {
    if (!IsReady(links[i])) continue;
    service_.knowledge.EstimateLoad(links[i]->replica, now);
    loads[i] = links[i]->replica.told.load;
    loads[i].ready = true;
    loads[i].replies = links[i]->replica.outstanding;
  }
  service_.knowledge.Find(*prompt_, reach);
  decision_ = service_.decider.Choose(service_.knowledge.ShapeOf(*prompt_), reach, loads, now);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - now;
  service_.metrics.decision_seconds.Observe(took.count());
  if (!decision_) return nullptr;
  service_.decider.NoteSent(*decision_, now);
  reach_ = reach[decision_->replica];
  return links[decision_->replica];
}

std::shared_ptr<ReplicaLink> RoutedRequest::ChooseLeastBusy() const {
  std::shared_ptr<ReplicaLink> best;
  for (const std::shared_ptr<ReplicaLink>& link : service_.replicas.links()) {
    if (!IsReady(link)) continue;
    if (best == nullptr || link->replica.outstanding < best->replica.outstanding) best = link;
    if (route_.kind == RequestKind::kOneReplica) break;  // always the same
  }
  return best;
}

Result<std::shared_ptr<ReplicaLink>> RoutedRequest::ChooseNow(bool& busy) {
  busy = false;
  decision_.reset();
  reach_ = {};
  if (!named_.empty() && service_.replicas.Find(named_) == nullptr) {
    return Fail(ErrorCode::kNotFound, fmt::format("There is no replica {}.", named_));
  }
  const auto links = service_.replicas.links();
  const auto may_try = [this](const std::shared_ptr<ReplicaLink>& link) {
    return link != nullptr && MayTry(*link);
  };
  // Nobody else has a response that is stored; without it there is nothing to go on from.
  if (stored_at_ && *stored_at_ < links.size()) {
    const std::shared_ptr<ReplicaLink>& link = links[*stored_at_];
    if (!may_try(link)) return std::unexpected(NoReplica());
    busy = !IsReady(link);
    decision_ = {.replica = *stored_at_, .reason = DecisionReason::kNamed};
    return link;
  }
  if (std::ranges::none_of(links, may_try)) {
    busy = service_.awaits_names();  // some may come
    return std::unexpected(NoReplica());
  }
  const bool by_prompt = prompt_ != nullptr && named_.empty() && !prompt_->previous_response;
  std::shared_ptr<ReplicaLink> chosen = by_prompt ? ChooseByPrompt() : ChooseLeastBusy();
  busy = chosen == nullptr;
  return chosen;
}

asio::awaitable<Result<std::shared_ptr<ReplicaLink>>> RoutedRequest::Choose() {
  bool busy = false;
  const bool bound = !named_.empty() || stored_at_ || tried_.any();
  if (!service_.line.has_unbound() || bound || !route_.TakesPlace()) {
    Result<std::shared_ptr<ReplicaLink>> now = ChooseNow(busy);
    if (!busy) co_return now;
  }
  const Error full = {ErrorCode::kCancelled, "All replicas are busy; ask again in a moment.", ""};
  if (service_.line.size() >= service_.options.queue) {
    ++service_.metrics.refused;
    co_return std::unexpected(full);
  }
  const TimePoint begin = std::chrono::steady_clock::now();
  ++service_.metrics.queued;
  WaitingLine::Place place(service_.line, service_.io, bound);
  waits_in_line_ = true;
  for (;;) {
    const bool in_time = co_await place.Wait(begin + service_.options.queue_wait);
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
    if (aborted_ || service_.stopping) co_return std::unexpected(Stopping());
    if (in_time && !place.may_go()) continue;
    Result<std::shared_ptr<ReplicaLink>> now = ChooseNow(busy);
    if (busy && in_time) continue;
    waits_in_line_ = false;
    waited_seconds_ += waited.count();
    service_.metrics.queue_seconds.Observe(waited.count());
    if (!busy) co_return now;
    ++service_.metrics.refused;
    co_return std::unexpected(full);
  }
}

asio::awaitable<void> RoutedRequest::ReadPrompt() {
  const WorkOrder order{request_.identity.tenant, request_.body.size(), request_.memory};
  std::function<Result<RoutedPrompt>()> read =
      service_.knowledge.Reading(*route_.endpoint, request_.body, request_.identity.tenant);
  Result<RoutedPrompt> prompt = co_await service_.workers.OnWorker(order, std::move(read));
  if (prompt) {
    prompt->tokens = {};  // their blocks' names are enough from here on
    prompt_ = std::make_shared<const RoutedPrompt>(*std::move(prompt));
    if (prompt_->previous_response) {
      stored_at_ = service_.knowledge.responses().Find(*prompt_->previous_response);
    }
  } else {
    ++service_.metrics.unread;
    LogDebug("a prompt could not be read: {}", prompt.error().message);
  }
}

void RoutedRequest::NoteHead(Replica& replica, const ReplyHead& head) {
  if (turn_) {
    turn_->Begin(head);
  } else if (const std::string_view id = head.Field(kStoredResponseField); !id.empty()) {
    service_.knowledge.responses().Note(std::string(id), replica.index);
  }
  if (!turn_ || head.status != 200) return;
  if (decision_) ++service_.metrics.decisions[NameOf(decision_->reason)];
  const std::optional<PromptUsage> usage = UsageOfField(head.Field("x-reprise-cache"));
  if (usage) CountUsage(replica, *usage);
  counted_ = usage.has_value();
}

void RoutedRequest::NoteEnd(Replica& replica) {
  if (!turn_) return;
  turn_->End();
  const std::optional<PromptUsage> usage = turn_->usage();
  if (!counted_ && usage && usage->cached_tokens) CountUsage(replica, *usage);
}

void RoutedRequest::CountUsage(Replica& replica, const PromptUsage& usage) {
  const size_t read = usage.cached_tokens.value_or(0);
  const size_t expected = decision_ ? decision_->expected_read_tokens : 0;
  if (decision_ && decision_->reason != DecisionReason::kNamed) {
    service_.decider.NoteRead(service_.knowledge.ShapeOf(*prompt_), *decision_, read,
                              replica.told.load);
  }
  replica.hits += read > 0;
  replica.prompt_tokens += usage.prompt_tokens;
  replica.read_tokens += read;
  replica.expected_tokens += expected;
  service_.metrics.prompt_tokens += usage.prompt_tokens;
  service_.metrics.read_tokens += read;
  service_.metrics.expected_tokens += expected;
}

}  // namespace reprise
