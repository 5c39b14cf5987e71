#include "api/watchers.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <utility>

#include "api/cache_page.h"
#include "api/completion_run.h"
#include "api/history_page.h"
#include "api/series.h"
#include "api/service.h"
#include "base/limits.h"
#include "http/as_tuple.h"
#include "vendor/sse.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

// Until the clock on the wall shows the next whole second.
Duration UntilNextSecond() {
  constexpr Duration kBehind = std::chrono::milliseconds(2);
  const auto now = std::chrono::system_clock::now();
  return std::chrono::ceil<std::chrono::seconds>(now) - now + kBehind;
}

TenantStats StatsOf(const std::string& tenant, const std::vector<TenantStats>& tenants) {
  const auto found = std::ranges::find(
      tenants, tenant, [](const TenantStats& each) -> const auto& { return each.cache.tenant; });
  return found == tenants.end() ? TenantStats{} : *found;
}

}  // namespace

Watchers::Watchers(Service& service, asio::any_io_executor io)
    : service_(service), second_timer_(io), request_timer_(io) {}

asio::awaitable<void> Watchers::Run() {
  while (!stopped_) {
    second_timer_.expires_after(UntilNextSecond());
    const auto [cancelled] = co_await second_timer_.async_wait(kAsTuple);
    if (!cancelled) Tick();
  }
}

void Watchers::Stop() {
  stopped_ = true;
  second_timer_.cancel();
  request_timer_.cancel();
  for (auto& [key, audience] : audiences_) {
    for (Watcher* watcher : audience.watchers) watcher->mailbox_->Post(nullptr, 0);
  }
}

void Watchers::CountWork(int64_t now) {
  for (CompletionRun* run : service_.runs) run->CountWork(now);
}

// What is told is of the second that has just passed.
void Watchers::Tick() {
  const int64_t second = Service::SecondsSince1970() - 1;
  CountWork(second);
  const EngineStats stats = service_.engine.stats();
  service_.ledger.NoteGauges(second, GaugesOf(stats));
  if (watching_ > 0 || service_.keys) RefreshTenants(stats);
  NoteTenantGauges(second);
  TellSecond(stats, second);
}

Watchers::TreeMark Watchers::TreeMarkOf(const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  const PrefixCache::Counters& counters = stats.cache_counters;
  return {stats.requests,         sizes.cached_blocks,       sizes.cached_tokens,
          sizes.leased_blocks,    sizes.pinned_blocks,       sizes.promises,
          counters.promises,      counters.published_blocks, counters.evicted_blocks,
          counters.expired_blocks};
}

Watchers::TreeMark Watchers::TreeMarkOf(const TenantStats& stats) {
  const TenantSizes& sizes = stats.cache;
  const auto& promises = sizes.promises_by_class;
  return {stats.requests,      stats.cached_tokens,   sizes.cached_blocks, sizes.cached_tokens,
          sizes.pinned_blocks, sizes.reserved_blocks, promises[0],         promises[1],
          promises[2],         sizes.snapshots};
}

Watchers::TreeMark Watchers::TreeMarkOf(const Identity& identity, const EngineStats& stats) const {
  return identity.admin ? TreeMarkOf(stats) : TreeMarkOf(StatsOf(identity.tenant, tenants_));
}

// Takes what the engine answered since the last second, and asks again if the tree has changed
// since it was asked.
void Watchers::RefreshTenants(const EngineStats& stats) {
  {
    const std::lock_guard lock(answer_->mutex);
    if (answer_->tenants) tenants_ = std::move(*std::exchange(answer_->tenants, std::nullopt));
  }
  const TreeMark now = TreeMarkOf(stats);
  if (asked_at_ == now) return;
  asked_at_ = now;
  // The engine may answer when nobody is there any more.
  service_.engine.TakeSnapshot([answer = answer_](EngineSnapshot snapshot) {
    const std::lock_guard lock(answer->mutex);
    answer->tenants = std::move(snapshot.tenants);
  });
}

void Watchers::NoteTenantGauges(int64_t second) {
  for (const TenantStats& tenant : tenants_) {
    service_.ledger.NoteGauges(tenant.cache.tenant, second, GaugesOf(tenant.cache));
  }
}

std::string Watchers::Sample(const Identity& identity, const EngineStats& stats,
                             int64_t second) const {
  const LedgerAccount& account =
      identity.admin ? service_.ledger.total() : service_.ledger.Of(identity.tenant);
  json::object sample;
  ForEachColumn(
      account.Second(second), ColumnsFor(identity.admin, stats),
      [&sample](std::string_view name, json::value value) { sample[name] = std::move(value); });
  sample["cache"] = CacheJson({stats, tenants_}, identity);
  std::string events;
  AppendNamedSseEvent(events, "sample", json::serialize(sample));
  return events;
}

void Watchers::TellSecond(const EngineStats& stats, int64_t second) {
  for (auto& [key, audience] : audiences_) {
    std::string events = Sample(audience.identity, stats, second);
    const TreeMark tree = TreeMarkOf(audience.identity, stats);
    if (std::exchange(audience.tree, tree) != tree) AppendNamedSseEvent(events, "tree", "{}");
    Tell(audience, std::move(events));
  }
}

void Watchers::NoteRequest(uint64_t number) {
  if (audiences_.empty() || stopped_) return;
  if (std::ranges::find(changed_requests_, number) != changed_requests_.end()) return;
  changed_requests_.push_back(number);
  if (changed_requests_.size() > 1) return;  // the timer runs
  request_timer_.expires_after(std::chrono::milliseconds(limits::kWatchDelayMs));
  request_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) TellRequests();
  });
}

void Watchers::TellRequests() {
  const std::vector<uint64_t> changed = std::exchange(changed_requests_, {});
  for (const auto& [key, audience] : audiences_) {
    std::string events;
    for (const uint64_t number : changed) {
      const PastRequest* request = service_.history.Find(number);
      if (request == nullptr) continue;
      if (!audience.identity.admin && request->tenant != audience.identity.tenant) continue;
      const std::string entry =
          json::serialize(RequestSummary(*request, service_, audience.identity));
      // One client's long words do not cut those who watch.
      if (entry.size() > limits::kMaxWatchedRequestBytes) continue;
      AppendNamedSseEvent(events, "request", entry);
    }
    if (!events.empty()) Tell(audience, std::move(events));
  }
}

void Watchers::Tell(const Audience& audience, std::string events) {
  const auto frame = std::make_shared<const std::string>(std::move(events));
  for (Watcher* watcher : audience.watchers) watcher->mailbox_->Post(frame, frame->size());
}

Watcher::Watcher(Watchers& watchers, Identity identity, HttpConnection& connection)
    : watchers_(watchers),
      identity_(std::move(identity)),
      connection_(connection),
      mailbox_(std::make_shared<Mailbox<WatchFrame>>(watchers.service_.io,
                                                     limits::kMaxStreamBacklogBytes)) {
  ++watchers_.watching_;
  mailbox_->OnOverflow([this] { connection_.Close(); });
}

Watcher::~Watcher() {
  mailbox_->Close();
  --watchers_.watching_;
  const auto audience = watchers_.audiences_.find(Key());
  if (audience == watchers_.audiences_.end()) return;
  audience->second.watchers.erase(this);
  if (audience->second.watchers.empty()) watchers_.audiences_.erase(audience);
}

Watchers::AudienceKey Watcher::Key() const {
  return {identity_.admin, identity_.admin ? std::string() : identity_.tenant};
}

void Watcher::Join(std::vector<TenantStats> tenants) {
  watchers_.tenants_ = std::move(tenants);
  const EngineStats stats = watchers_.service_.engine.stats();
  const auto [audience, is_new] = watchers_.audiences_.try_emplace(Key());
  if (is_new) {
    audience->second.identity = identity_;
    audience->second.tree = watchers_.TreeMarkOf(identity_, stats);
  }
  audience->second.watchers.insert(this);
  std::string events = watchers_.Sample(identity_, stats, Service::SecondsSince1970() - 1);
  const auto frame = std::make_shared<const std::string>(std::move(events));
  mailbox_->Post(frame, frame->size());
  if (watchers_.stopped_) mailbox_->Post(nullptr, 0);
}

asio::awaitable<bool> Watcher::Follow() {
  for (;;) {
    const std::vector<WatchFrame> frames = co_await mailbox_->Receive(std::chrono::hours(1));
    if (mailbox_->overflowed()) co_return false;
    std::string events;
    for (const WatchFrame& frame : frames) {
      if (frame != nullptr) events += *frame;
    }
    if (!co_await connection_.SendChunk(std::move(events))) co_return false;
    if (!frames.empty() && frames.back() == nullptr) co_return true;
  }
}

}  // namespace reprise
