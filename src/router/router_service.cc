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
      knowledge(io, {.reader = options.reader,
                     .max_blocks = options.max_blocks,
                     .fleet_token = options.fleet_token}),
      replicas(io, TableEvents()),
      workers(io) {}

ReplicaTable::Events RouterService::TableEvents() {
  return {.on_change =
              [this](Replica& replica) {
                if (replica.health == Replica::Health::kLive) {
                  decider.Forget(replica.index, std::chrono::steady_clock::now());
                }
                knowledge.NoteHealth(replica);
                line.WakeAll();
              },
          .on_add =
              [this](const std::shared_ptr<ReplicaLink>& link) {
                decider.Forget(link->replica.index, std::chrono::steady_clock::now());
                knowledge.Follow(link);
                line.WakeFirst();
              },
          .on_remove = [this](Replica& replica) { knowledge.Forget(replica); }};
}

Status RouterService::Start() {
  for (const ReplicaAddress& address : options.replicas) {
    if (!replicas.Add(address)) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("A router has at most {} replicas.", limits::kMaxReplicas));
    }
  }
  if (!options.replicas_from) return {};
  names_ = std::make_shared<ReplicaNames>(
      io, *options.replicas_from, [this](std::vector<ReplicaAddress> found) {
        found.insert(found.begin(), options.replicas.begin(), options.replicas.end());
        names_found_ = true;
        replicas.Set(found);
      });
  names_->Start();
  return {};
}

void RouterService::Stop() {
  if (names_ != nullptr) names_->Stop();
  knowledge.Stop();
  replicas.Stop();
}

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
  return ErrorMessage(reply.status, std::move(reply.body), reply.retry_after_s);
}

}  // namespace reprise
