#pragma once

// Who follows what this server holds and how busy it is (GET /cache/events, docs/api.md), such as a
// router: each is told who the server is, then which blocks come and go, its load, what the model
// wrote where it called tools, and that the server stops.
//
// Blocks are told by the engine's and the stores' threads (tiers/block_changes.h), which leave them
// in the followers' mailboxes; events are made of them when their turn comes. The rest: I/O thread.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <variant>

#include "http/connection.h"
#include "http/mailbox.h"
#include "prompt/reply_memory.h"
#include "tiers/block_changes.h"

namespace reprise {

class Service;
class Follower;

class Followers {
 public:
  // `service` outlives it, and is looked at from Run on.
  Followers(Service& service, boost::asio::any_io_executor io);

  // Until Stop: tells the load each limits::kLoadPauseMs.
  boost::asio::awaitable<void> Run();
  // A request has begun or ended: the load is told within limits::kLoadDelayMs.
  void NoteLoad();
  // The reply was remembered (ServedModel::replies).
  void TellReply(const std::string& tenant, const WrittenReply& reply);
  // Nothing new is begun from now on.
  void TellDraining();
  // Every follower's stream ends when what it was told has been sent.
  void Stop();

  size_t count() const { return following_; }

 private:
  friend class Follower;

  void TellLoad();
  // Empty: no more comes.
  void Tell(std::string events);

  Service& service_;
  boost::asio::steady_timer pause_timer_;
  boost::asio::steady_timer delay_timer_;
  bool load_noted_ = false;
  bool stopped_ = false;
  const uint64_t process_;  // tells this run of the server from others
  std::unordered_set<Follower*> joined_;
  size_t following_ = 0;
};

// One connection that follows. Counts from its construction.
class Follower {
 public:
  // `memory`: of what waits for it.
  Follower(Followers& followers, HttpConnection& connection, MemoryShare memory);
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  // Sends what it is told, until the server stops (true), or the client has gone or is too slow.
  boost::asio::awaitable<bool> Follow();

 private:
  friend class Followers;
  // Events in the form of a stream, which all who are told them share, or what is to be made one.
  using Told =
      std::variant<std::shared_ptr<const std::string>, std::shared_ptr<const BlockChanges>>;

  boost::asio::awaitable<bool> TellBeginning();

  Followers& followers_;
  HttpConnection& connection_;
  const std::shared_ptr<Mailbox<Told>> mailbox_;
};

}  // namespace reprise
