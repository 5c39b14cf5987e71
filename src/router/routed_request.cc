#include "router/routed_request.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "http/web_origin.h"
#include "router/fleet_page.h"
#include "router/passed_fields.h"
#include "text/detokenizer.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

// How nginx logs it; never sent.
constexpr int kClientGone = 499;

// Of a replica that cannot take the request now, where another one may.
bool MeansElsewhere(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504 || status == 529;
}

}  // namespace

RoutedRequest::RoutedRequest(HttpRequest request, HttpConnection& client, RouterService& service)
    : request_(std::move(request)),
      client_(client),
      service_(service),
      route_(RouteOf(request_.method, request_.path)),
      named_(NamedReplica(request_)) {
  service_.requests.insert(this);
}

RoutedRequest::~RoutedRequest() {
  service_.requests.erase(this);
  const int status = completed_ ? client_.status() : kClientGone;
  ++service_.metrics.requests[{std::string(route_.label), status}];
  const std::string path = ReplaceInvalidUtf8(request_.path.substr(0, limits::kLoggedPathBytes));
  std::string line =
      fmt::format("{} {} {} {:.1f}ms", request_.method, path, status, 1e3 * ElapsedSeconds());
  if (!replica_name_.empty()) line += fmt::format(" replica={}", replica_name_);
  if (waited_seconds_ > 0) line += fmt::format(" waited={:.1f}ms", 1e3 * waited_seconds_);
  const bool quiet =
      route_.kind != RequestKind::kGenerate && route_.kind != RequestKind::kAnyReplica;
  LogLine(quiet ? LogLevel::kDebug : LogLevel::kInfo, line);
}

double RoutedRequest::ElapsedSeconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - request_.received)
      .count();
}

Error RoutedRequest::Stopping() const {
  return {ErrorCode::kCancelled, "The router is stopping; ask again in a moment.", ""};
}

void RoutedRequest::Abort() {
  aborted_ = true;
  if (upstream_ != nullptr) upstream_->Close();
}

asio::awaitable<bool> RoutedRequest::Send(HttpResponse response) {
  for (auto& header : CorsHeaders(request_)) response.headers.push_back(std::move(header));
  completed_ = co_await client_.Send(std::move(response));
  co_return completed_;
}

asio::awaitable<bool> RoutedRequest::SendError(const Error& error) {
  co_return co_await Send(RouterErrorResponse(error, route_.path));
}

std::optional<Error> RoutedRequest::WhyRefused() const {
  if (service_.stopping && route_.kind != RequestKind::kHealth) return Stopping();
  if (request_.refusal) return request_.refusal;
  const bool own = route_.kind == RequestKind::kMetrics || route_.kind == RequestKind::kFleet;
  if (own && named_.empty() && !request_.identity.admin) {
    return Error{ErrorCode::kForbidden,
                 "This concerns all tenants: it needs an administrator's key.", ""};
  }
  const bool one_is_meant = route_.kind == RequestKind::kOneReplica && named_.empty() &&
                            request_.method != "GET" && request_.method != "HEAD";
  if (one_is_meant && service_.replicas.count() > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "Say which replica is meant, by the header x-reprise-replica: HOST:PORT.", ""};
  }
  return std::nullopt;
}

asio::awaitable<void> RoutedRequest::Run() {
  if (request_.preflight && !request_.refusal) {
    HttpResponse response;
    response.content_type = "text/plain";
    co_await Send(std::move(response));
    co_return;
  }
  if (const std::optional<Error> refusal = WhyRefused()) {
    co_await SendError(*refusal);
    co_return;
  }
  const bool own = route_.kind == RequestKind::kHealth || route_.kind == RequestKind::kMetrics ||
                   route_.kind == RequestKind::kFleet;
  if (own && named_.empty()) {
    co_await AnswerItself();
  } else {
    co_await PassToReplica();
  }
}

asio::awaitable<void> RoutedRequest::AnswerItself() {
  if (request_.method != "GET" && request_.method != "HEAD") {
    const Error method = {ErrorCode::kMethodNotAllowed,
                          fmt::format("{} takes GET only.", route_.path), ""};
    co_await SendError(method);
    co_return;
  }
  HttpResponse response;
  if (route_.kind == RequestKind::kHealth) {
    response = HealthPage(service_);
  } else if (route_.kind == RequestKind::kFleet) {
    response.body = FleetPage(service_);
  } else {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = MetricsPage(service_);
  }
  co_await Send(std::move(response));
}

asio::awaitable<void> RoutedRequest::PassToReplica() {
  if (route_.kind == RequestKind::kGenerate && !request_.body.empty()) co_await ReadPrompt();
  if (route_.kind == RequestKind::kStoredResponse) {
    stored_at_ = service_.knowledge.responses().Find(route_.response_id);
  }
  for (;;) {
    const Result<std::shared_ptr<ReplicaLink>> chosen = co_await Choose();
    if (!chosen) {
      if (refusal_ && !aborted_) {
        HttpResponse response = PassedHead(refusal_->replica, refusal_->head);
        response.body = std::move(refusal_->body);
        completed_ = co_await client_.Send(std::move(response));
      } else {
        co_await SendError(chosen.error());
      }
      co_return;
    }
    const Outcome outcome = co_await Try(**chosen);
    turn_.reset();  // it is the replica's, which may go now
    if (outcome == Outcome::kDone) co_return;
    if (aborted_) {
      co_await SendError(Stopping());
      co_return;
    }
    ++service_.metrics.retries;
  }
}

HttpResponse RoutedRequest::PassedHead(std::string_view replica, const ReplyHead& head) const {
  HttpResponse response;
  response.status = head.status;
  response.passed_on = true;
  response.length = head.length;
  for (const auto& [name, value] : head.fields) {
    if (IsPassedBack(head.fields, name)) response.headers.emplace_back(name, value);
  }
  response.headers.emplace_back("x-reprise-replica", replica);
  for (auto& header : CorsHeaders(request_)) response.headers.push_back(std::move(header));
  return response;
}

// Awaiting throws where the coroutine was cancelled, as it is when the client goes. What was going
// on at a replica has ended with that too, which says nothing of the replica.
asio::awaitable<void> RoutedRequest::EndIfClientGone() { co_return; }

asio::awaitable<Result<ReplyHead>> RoutedRequest::Ask(ReplicaLink& link) {
  const bool head_only = request_.method == "HEAD";
  const bool approximate = service_.knowledge.approximate();
  for (bool fresh = false;; fresh = true) {
    auto connected = co_await link.pool.Connect(fresh);
    co_await EndIfClientGone();
    if (!connected) {
      const bool lost = connected.error().code == ErrorCode::kIo;
      if (lost) link.NoteFailure(connected.error().message, /*unreachable=*/true);
      co_return std::unexpected(connected.error());
    }
    if (aborted_) co_return std::unexpected(Stopping());
    upstream_ = *std::move(connected);
    Result<ReplyHead> head = co_await upstream_->Ask(
        PassedRequest(request_, link.replica, approximate), request_.body, head_only);
    co_await EndIfClientGone();
    // It was closed while it lay there, perhaps at this very moment: that says nothing yet.
    if (!head && upstream_->reused() && !aborted_) continue;
    if (!head && !aborted_) link.NoteFailure(head.error().message, /*unreachable=*/false);
    co_return head;
  }
}

asio::awaitable<RoutedRequest::Outcome> RoutedRequest::Try(ReplicaLink& link) {
  tried_.set(link.replica.index);
  std::optional<ReplicaTurn> place;
  if (route_.TakesPlace()) place.emplace(service_, link);
  service_.metrics.overhead_seconds.Observe(ElapsedSeconds() - waited_seconds_);
  const std::string name = link.replica.name;
  if (prompt_ != nullptr) {
    turn_.emplace(service_.knowledge, link.replica, prompt_,
                  decision_.value_or(Decision{.replica = link.replica.index}), reach_);
  }
  Result<ReplyHead> head = co_await Ask(link);
  if (head && MeansElsewhere(head->status)) co_return co_await TakeRefusal(link, *std::move(head));
  Result<std::string> first = std::string();
  if (head) first = co_await upstream_->ReadBody();
  co_await EndIfClientGone();
  if (!head || !first) {
    ++link.replica.failures;
    if (head && !aborted_) link.NoteFailure(first.error().message, /*unreachable=*/false);
    upstream_ = nullptr;
    if (!aborted_) {
      LogWarning("replica {} failed before its first byte: {}", name,
                 head ? first.error().message : head.error().message);
    }
    co_return Outcome::kElsewhere;
  }
  replica_name_ = name;
  co_await PassOn(link, *std::move(head), *std::move(first));
  co_return Outcome::kDone;
}

asio::awaitable<RoutedRequest::Outcome> RoutedRequest::TakeRefusal(ReplicaLink& link,
                                                                   ReplyHead head) {
  ++link.replica.failures;
  Refusal refusal{link.replica.name, std::move(head), {}};
  for (;;) {
    const Result<std::string> bytes = co_await upstream_->ReadBody();
    co_await EndIfClientGone();
    if (!bytes || refusal.body.size() > limits::kMaxRefusalBytes) break;
    if (bytes->empty()) {
      link.pool.GiveBack(std::exchange(upstream_, nullptr));
      refusal_ = std::move(refusal);
      break;
    }
    refusal.body += *bytes;
  }
  upstream_ = nullptr;
  co_return Outcome::kElsewhere;
}

asio::awaitable<void> RoutedRequest::PassOn(ReplicaLink& link, ReplyHead head, std::string first) {
  const bool stream = head.Field("content-type").starts_with("text/event-stream");
  // One whose length was told cannot end in another way.
  const bool is_open_ended = stream && !head.length;
  const bool events = is_open_ended && route_.endpoint != nullptr;
  watches_ = is_open_ended && route_.kind == RequestKind::kOneReplica;
  NoteHead(link.replica, head);
  if (!co_await client_.BeginStream(PassedHead(replica_name_, head))) co_return;
  if (!co_await PassBody(std::move(first), events)) {
    if (upstream_ == nullptr && !aborted_) link.NoteFailure("", /*unreachable=*/false);
    co_return;
  }
  NoteEnd(link.replica);
  completed_ = co_await client_.EndStream();
  link.pool.GiveBack(std::exchange(upstream_, nullptr));
}

// False: the client is gone, or the reply ended before its end.
asio::awaitable<bool> RoutedRequest::PassBody(std::string first, bool events) {
  for (Result<std::string> bytes = std::move(first);;) {
    if (!bytes) {
      if (!aborted_) {
        ++service_.metrics.broken_replies;
        LogWarning("replica {} failed in the middle of a reply: {}", replica_name_,
                   bytes.error().message);
      }
      Error gone = {ErrorCode::kIo, "The server that wrote this reply is gone; ask again.", ""};
      if (aborted_) gone = Stopping();
      co_await EndBroken(gone, events);
      co_return false;
    }
    const bool ended = bytes->empty();
    if (turn_) turn_->Put(*bytes);
    if (ended && !events) co_return true;
    std::string data = ended    ? stream_.TakeRest()
                       : events ? stream_.Put(*std::move(bytes))
                                : *std::move(bytes);
    if (!data.empty() && !co_await client_.SendChunk(std::move(data))) co_return false;
    if (ended) co_return true;
    bytes = co_await upstream_->ReadBody();
    co_await EndIfClientGone();
  }
}

asio::awaitable<void> RoutedRequest::EndBroken(const Error& error, bool events) {
  upstream_ = nullptr;
  if (watches_ && aborted_) {
    completed_ = co_await client_.EndStream();  // as the replica itself does when it stops
    co_return;
  }
  if (!events) {
    client_.Close();
    co_return;
  }
  std::string event = stream_.ErrorEvent(route_, error);
  const bool there = co_await client_.SendChunk(std::move(event));
  if (there) completed_ = co_await client_.EndStream();
}

asio::awaitable<void> AnswerRouted(HttpRequest request, HttpConnection& client,
                                   RouterService& service) {
  RoutedRequest routed(std::move(request), client, service);
  co_await routed.Run();
}

}  // namespace reprise
