#pragma once

// Follows one replica's GET /cache/events for as long as it is there. When the stream ends, breaks
// its own rules or is silent for too long, it is begun anew after a pause, and the
// replica is cold until its snapshot is whole. I/O thread only.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "router/replica_events.h"
#include "router/replica_link.h"
#include "router/sse_reader.h"

namespace reprise {

class ReplicaWatch : public std::enable_shared_from_this<ReplicaWatch> {
 public:
  // `lore` outlives the I/O context's work; `token`: of the fleet, empty: none; `silence`: too
  // long.
  ReplicaWatch(boost::asio::any_io_executor io, std::shared_ptr<ReplicaLink> link,
               ReplicaLore& lore, std::string token, Duration silence);

  void Start();
  void Stop();

  const ReplicaEvents& events() const { return events_; }
  const std::shared_ptr<ReplicaLink>& link() const { return link_; }

 private:
  boost::asio::awaitable<void> Run();
  // Until the stream ends; why it did.
  boost::asio::awaitable<Error> FollowOnce();
  Status TakeBytes(std::string_view bytes, SseReader& reader);
  void AwaitSilence();

  const boost::asio::any_io_executor io_;
  const std::shared_ptr<ReplicaLink> link_;
  const std::string token_;
  const Duration silence_longest_;
  ReplicaEvents events_;
  boost::asio::steady_timer pause_;
  boost::asio::steady_timer silence_;
  UpstreamConnection* open_ = nullptr;
  std::string said_;  // the trouble that the log has
  bool silent_ = false;
  bool stopped_ = false;
};

}  // namespace reprise
