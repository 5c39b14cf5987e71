#pragma once

// Counts over time, and who watches: each second looks at what the requests that run have done and
// at the engine's statistics, notes both in the ledger, and tells the watchers of GET /cache/watch
// (watch_stream.h). What is told is rendered once for all who may see the same. An engine that has
// nothing to do is not woken: what tenants hold is asked again only when the cache has changed.
//
// A watcher that does not read is cut when limits::kMaxStreamBacklogBytes wait for it. I/O thread
// only.

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "http/connection.h"
#include "http/identity.h"
#include "http/mailbox.h"

namespace reprise {

class Service;

// Events in the form of a stream; nullptr: there will be no more.
using WatchFrame = std::shared_ptr<const std::string>;

class Watcher;

class Watchers {
 public:
  // `service` outlives it, and is looked at from Run on.
  Watchers(Service& service, boost::asio::any_io_executor io);

  // Until Stop.
  boost::asio::awaitable<void> Run();
  // No more is counted, and every watcher's stream ends.
  void Stop();

  // A request in the history has changed: watchers are told within limits::kWatchDelayMs.
  void NoteRequest(uint64_t number);
  // What running requests have done until now goes into the ledger, for the second `now`.
  void CountWork(int64_t now);

  size_t count() const { return watching_; }

 private:
  friend class Watcher;

  // Counts and sizes that change when the tree does.
  using TreeMark = std::array<uint64_t, 10>;

  // Whoever may see the same.
  struct Audience {
    Identity identity;
    std::unordered_set<Watcher*> watchers;
    TreeMark tree{};  // that it was told of
  };
  using AudienceKey = std::pair<bool, std::string>;  // administrators; or of a tenant

  void Tick();
  static TreeMark TreeMarkOf(const EngineStats& stats);
  static TreeMark TreeMarkOf(const TenantStats& stats);
  // Of what the audience sees.
  TreeMark TreeMarkOf(const Identity& identity, const EngineStats& stats) const;
  void RefreshTenants(const EngineStats& stats);
  void NoteTenantGauges(int64_t second);
  std::string Sample(const Identity& identity, const EngineStats& stats, int64_t second) const;
  void TellSecond(const EngineStats& stats, int64_t second);
  void TellRequests();
  static void Tell(const Audience& audience, std::string events);

  Service& service_;
  boost::asio::steady_timer second_timer_;
  boost::asio::steady_timer request_timer_;
  std::vector<uint64_t> changed_requests_;  // not yet told
  std::map<AudienceKey, Audience> audiences_;
  size_t watching_ = 0;
  bool stopped_ = false;
  // What the engine's thread answers.
  struct Answer {
    std::mutex mutex;
    std::optional<std::vector<TenantStats>> tenants;  // GUARDED_BY(mutex)
  };
  const std::shared_ptr<Answer> answer_ = std::make_shared<Answer>();
  std::vector<TenantStats> tenants_;  // as the engine said last …
  std::optional<TreeMark> asked_at_;  // … when the tree was so
};

// One connection that watches. Counts from its construction, is told from Join on.
class Watcher {
 public:
  Watcher(Watchers& watchers, Identity identity, HttpConnection& connection);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // From now on it is told, a sample first.
  void Join(std::vector<TenantStats> tenants);
  // Sends what it is told, until the server stops (true) or the client has gone.
  boost::asio::awaitable<bool> Follow();

 private:
  friend class Watchers;

  Watchers::AudienceKey Key() const;

  Watchers& watchers_;
  const Identity identity_;
  HttpConnection& connection_;
  const std::shared_ptr<Mailbox<WatchFrame>> mailbox_;
};

}  // namespace reprise
