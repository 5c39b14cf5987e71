#pragma once

// What every request at a router needs: its replicas, what they hold, the line before them, the
// threads that read prompts, and the counts. One a router; its own parts belong to the I/O thread.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>

#include "fleet/decision.h"
#include "http/api_keys.h"
#include "http/body_workers.h"
#include "http/message.h"
#include "router/fleet_knowledge.h"
#include "router/replica_names.h"
#include "router/replica_table.h"
#include "router/router_metrics.h"
#include "router/router_options.h"
#include "router/waiting_line.h"

namespace reprise {

class RoutedRequest;

class RouterService {
 public:
  RouterService(RouterOptions its_options, boost::asio::io_context& io_context);

  // Begins to look after its replicas. Before the I/O thread runs.
  Status Start();
  void Stop();

  // No replica has been there yet, but the DNS has been asked for some.
  bool awaits_names() const { return names_ != nullptr && !names_found_; }

  const RouterOptions options;
  const boost::asio::any_io_executor io;
  std::optional<ApiKeys> keys;  // none: nobody needs one
  WaitingLine line;
  Decider decider;
  FleetKnowledge knowledge;
  ReplicaTable replicas;
  BodyWorkers workers;
  RouterMetrics metrics;
  bool stopping = false;
  std::unordered_set<RoutedRequest*> requests;  // that are being answered

 private:
  ReplicaTable::Events TableEvents();

  std::shared_ptr<ReplicaNames> names_;  // null: all replicas are named
  bool names_found_ = false;             // once
};

// A request that takes a place at a replica, as long as it lives.
class ReplicaTurn {
 public:
  // REQUIRES: both outlive it.
  ReplicaTurn(RouterService& service, ReplicaLink& link);
  ~ReplicaTurn();
  ReplicaTurn(const ReplicaTurn&) = delete;
  ReplicaTurn& operator=(const ReplicaTurn&) = delete;

 private:
  RouterService& service_;
  ReplicaLink& link_;
  const TimePoint begin_;
};

// The answer to what goes wrong here, in the shape of the path's vendor.
HttpResponse RouterErrorResponse(const Error& error, std::string_view path);

}  // namespace reprise
