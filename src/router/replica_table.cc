#include "router/replica_table.h"

#include <algorithm>
#include <utility>

#include "base/fleet_limits.h"
#include "base/log.h"

namespace reprise {

ReplicaTable::ReplicaTable(boost::asio::any_io_executor io, Events events)
    : io_(std::move(io)), events_(std::move(events)) {}

bool ReplicaTable::Add(const ReplicaAddress& address) {
  size_t free = links_.size();
  for (size_t i = 0; i < links_.size(); ++i) {
    if (links_[i] != nullptr && links_[i]->replica.address == address) return true;
    if (links_[i] == nullptr && leaving_[i].expired()) free = std::min(free, i);
  }
  if (free == limits::kMaxReplicas) return false;
  if (free == links_.size()) {
    links_.emplace_back();
    leaving_.emplace_back();
  }
  links_[free] = std::make_shared<ReplicaLink>(io_, free, address, events_.on_change);
  events_.on_add(links_[free]);
  links_[free]->Start();
  return true;
}

void ReplicaTable::Set(std::span<const ReplicaAddress> addresses) {
  for (size_t i = 0; i < links_.size(); ++i) {
    if (links_[i] == nullptr) continue;
    if (std::ranges::find(addresses, links_[i]->replica.address) != addresses.end()) continue;
    const std::shared_ptr<ReplicaLink> gone = std::exchange(links_[i], nullptr);
    leaving_[i] = gone;
    gone->Stop();
    LogInfo("replica {} is gone", gone->replica.name);
    events_.on_remove(gone->replica);
  }
  for (const ReplicaAddress& address : addresses) {
    if (!Add(address)) {
      LogWarning("there are {} replicas already: {} is not used", limits::kMaxReplicas,
                 address.Name());
    }
  }
}

void ReplicaTable::Stop() {
  for (const std::shared_ptr<ReplicaLink>& link : links_) {
    if (link != nullptr) link->Stop();
  }
}

std::shared_ptr<ReplicaLink> ReplicaTable::Find(std::string_view name) const {
  const auto found = std::ranges::find_if(links_, [name](const std::shared_ptr<ReplicaLink>& link) {
    return link != nullptr && link->replica.name == name;
  });
  return found == links_.end() ? nullptr : *found;
}

size_t ReplicaTable::count() const {
  return static_cast<size_t>(
      std::ranges::count_if(links_, [](const auto& link) { return link != nullptr; }));
}

}  // namespace reprise
