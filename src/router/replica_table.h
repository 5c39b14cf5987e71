#pragma once

// The replicas of a router, at most limits::kMaxReplicas, each with a number that it keeps as long
// as it is there: by it Holdings and the decision know it. I/O thread only.

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "router/replica_link.h"

namespace reprise {

class ReplicaTable {
 public:
  // `on_change`: after the health of one has changed. `on_add`, `on_remove`: one has come, or is
  // gone and will get nothing any more; what was known of its number is void.
  struct Events {
    std::function<void(Replica&)> on_change;
    std::function<void(const std::shared_ptr<ReplicaLink>&)> on_add;
    std::function<void(Replica&)> on_remove;
  };
  ReplicaTable(boost::asio::any_io_executor io, Events events);

  // One that is there already stays as it is. False: there are as many as there may be.
  bool Add(const ReplicaAddress& address);
  // These and no others, as far as there is room: those that are gone end what they have begun.
  void Set(std::span<const ReplicaAddress> addresses);
  // Looks at none any more.
  void Stop();

  // By number; null where there is none.
  std::span<const std::shared_ptr<ReplicaLink>> links() const { return links_; }
  std::shared_ptr<ReplicaLink> Find(std::string_view name) const;
  size_t count() const;

 private:
  const boost::asio::any_io_executor io_;
  const Events events_;
  std::vector<std::shared_ptr<ReplicaLink>> links_;
  std::vector<std::weak_ptr<ReplicaLink>> leaving_;  // by number: may have requests still
};

}  // namespace reprise
