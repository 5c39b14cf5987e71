#include "router/router_service.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/fleet_limits.h"
#include "router/request_route.h"

namespace reprise {

RouterService::RouterService(RouterOptions its_options, boost::asio::io_context& io_context)
    : options(std::move(its_options)),
      io(io_context.get_executor()),
      replicas(io, TableEvents()),
      workers(io) {}

ReplicaTable::Events RouterService::TableEvents() {
  return {.on_change = [this](Replica&) { line.WakeAll(); },
          .on_add = [this](const std::shared_ptr<ReplicaLink>&) { line.WakeFirst(); },
          .on_remove = [](Replica&) {}};
}

Status RouterService::Start() {
  for (const ReplicaAddress& address : options.replicas) {
    if (!replicas.Add(address)) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("A router has at most {} replicas.", limits::kMaxReplicas));
    }
  }
  return {};
}

void RouterService::Stop() { replicas.Stop(); }

ReplicaTurn::ReplicaTurn(RouterService& service, ReplicaLink& link)
    : service_(service), link_(link), begin_(std::chrono::steady_clock::now()) {
  ++link_.replica.outstanding;
  ++link_.replica.requests;
}

ReplicaTurn::~ReplicaTurn() {
  --link_.replica.outstanding;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin_;
  link_.replica.busy_seconds += took.count();
  service_.line.WakeFirst();
}

HttpResponse RouterErrorResponse(const Error& error, std::string_view path) {
  ErrorReply reply = ErrorFormOf(path).error(error, "");
  HttpResponse response;
  response.status = reply.status;
  response.body = std::move(reply.body);
  if (reply.retry_after_s > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(reply.retry_after_s));
  }
  if (response.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace reprise
