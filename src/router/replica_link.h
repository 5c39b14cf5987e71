#pragma once

// A replica with the router's connections to it, and who looks whether it is there: GET /health
// every limits::kHealthPauseMs, less often while it is dead. What requests meet counts too: one
// that cannot even connect has found a dead replica. I/O thread only; held by the table and by each
// request that is under way there.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string_view>

#include "router/replica.h"
#include "router/upstream.h"

namespace reprise {

class ReplicaLink : public std::enable_shared_from_this<ReplicaLink> {
 public:
  // `on_change`: after its health has changed.
  ReplicaLink(const boost::asio::any_io_executor& io, size_t index, ReplicaAddress address,
              std::function<void(Replica&)> on_change);

  // Looks again and again until Stop.
  void Start();
  void Stop();
  // It has been reached otherwise: looks at once.
  void LookNow();
  // A request could not reach it, or lost it: looks at once.
  void NoteFailure(std::string_view what, bool unreachable);

  Replica replica;
  UpstreamPool pool;

 private:
  boost::asio::awaitable<void> Look();
  // Its health after one look; what went wrong, where something did.
  boost::asio::awaitable<Replica::Health> LookOnce(std::string& trouble);
  boost::asio::awaitable<Result<int>> AskHealth();
  void Become(Replica::Health health, std::string_view why);

  const boost::asio::any_io_executor io_;
  const std::function<void(Replica&)> on_change_;
  boost::asio::steady_timer pause_;
  boost::asio::cancellation_signal end_;
  int missed_ = 0;  // looks in a row
  bool look_now_ = false;
  bool stopped_ = false;
};

}  // namespace reprise
