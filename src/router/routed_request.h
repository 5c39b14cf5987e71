#pragma once

// One request at the router, from its body to the last byte of its reply: it is read, a replica is
// chosen, asked, and what comes back is passed on as it comes. A replica that fails before anything
// was passed on is forgotten for this request and another one asked, each once; after that a stream
// ends with the vendor's error event and anything else is cut. Lives in its connection's coroutine:
// when the client goes, so do this and the connection to the replica. I/O thread only.

#include <bitset>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fleet_limits.h"
#include "http/connection.h"
#include "http/message.h"
#include "router/event_stream.h"
#include "router/request_route.h"
#include "router/router_service.h"
#include "router/upstream.h"

namespace reprise {

class RoutedRequest {
 public:
  RoutedRequest(HttpRequest request, HttpConnection& client, RouterService& service);
  ~RoutedRequest();  // writes the log's line
  RoutedRequest(const RoutedRequest&) = delete;
  RoutedRequest& operator=(const RoutedRequest&) = delete;

  boost::asio::awaitable<void> Run();
  // The router stops: ends as if the replica had failed, and asks nobody else.
  void Abort();
  // Whether there is nothing to be finished: it has not been sent, or is a stream without end.
  bool may_end() const { return waits_in_line_ || watches_; }

 private:
  enum class Outcome : uint8_t { kDone, kElsewhere };
  // A replica's answer that is passed on only when no other replica has a better one.
  struct Refusal {
    std::string replica;
    ReplyHead head;
    std::string body;
  };

  boost::asio::awaitable<void> PassToReplica();
  boost::asio::awaitable<void> ReadPrompt();
  std::optional<Error> WhyRefused() const;
  boost::asio::awaitable<void> AnswerItself();
  boost::asio::awaitable<bool> Send(HttpResponse response);
  boost::asio::awaitable<bool> SendError(const Error& error);

  // One that may take the request now, or after waiting in the line.
  boost::asio::awaitable<Result<std::shared_ptr<ReplicaLink>>> Choose();
  Result<std::shared_ptr<ReplicaLink>> ChooseNow(bool& busy);
  // By what the replicas hold of the prompt; null: none is ready.
  std::shared_ptr<ReplicaLink> ChooseByPrompt();
  std::shared_ptr<ReplicaLink> ChooseLeastBusy() const;
  bool MayTry(const ReplicaLink& link) const;
  bool IsReady(const std::shared_ptr<ReplicaLink>& link) const;  // may be tried, and has room

  boost::asio::awaitable<Outcome> Try(ReplicaLink& link);
  static boost::asio::awaitable<void> EndIfClientGone();
  boost::asio::awaitable<Result<ReplyHead>> Ask(ReplicaLink& link);
  boost::asio::awaitable<Outcome> TakeRefusal(ReplicaLink& link, ReplyHead head);
  boost::asio::awaitable<void> PassOn(ReplicaLink& link, ReplyHead head, std::string first);
  boost::asio::awaitable<bool> PassBody(std::string first, bool events);
  // What the reply's head tells; what its end does.
  void NoteHead(Replica& replica, const ReplyHead& head);
  void NoteEnd(Replica& replica);
  void CountUsage(Replica& replica, const PromptUsage& usage);
  boost::asio::awaitable<void> EndBroken(const Error& error, bool events);
  HttpResponse PassedHead(std::string_view replica, const ReplyHead& head) const;
  Error Stopping() const;
  double ElapsedSeconds() const;  // since the header was complete

  HttpRequest request_;
  HttpConnection& client_;
  RouterService& service_;
  const RequestRoute route_;
  const std::string named_;                     // replica; empty: any
  std::shared_ptr<const RoutedPrompt> prompt_;  // null: it is no prompt, or could not be read
  std::optional<size_t> stored_at_;             // the replica that has the response which is meant
  std::optional<Decision> decision_;            // the last
  Reach reach_;                                 // of the prompt, where it was sent
  std::bitset<limits::kMaxReplicas> tried_;
  std::optional<Refusal> refusal_;
  std::unique_ptr<UpstreamConnection> upstream_;
  EventStream stream_;
  std::optional<PromptTurn> turn_;  // of a prompt at a replica
  bool counted_ = false;            // what the replica read
  std::string replica_name_;        // that it went to
  double waited_seconds_ = 0;       // in the line
  bool aborted_ = false;
  bool waits_in_line_ = false;
  bool watches_ = false;  // a replica's own stream, which goes on until somebody stops
  bool completed_ = false;
};

// Answers one request.
boost::asio::awaitable<void> AnswerRouted(HttpRequest request, HttpConnection& client,
                                          RouterService& service);

}  // namespace reprise
