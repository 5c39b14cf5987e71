#include "router/stored_responses.h"

#include <utility>

#include "base/fleet_limits.h"

namespace reprise {

void StoredResponses::Note(std::string id, size_t replica) {
  if (!replicas_.insert_or_assign(id, replica).second) return;
  order_.push_back(std::move(id));
  while (order_.size() > limits::kMaxRoutedResponses) {
    replicas_.erase(order_.front());
    order_.pop_front();
  }
}

std::optional<size_t> StoredResponses::Find(const std::string& id) const {
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return std::nullopt;
  return found->second;
}

void StoredResponses::Forget(size_t replica) {
  std::erase_if(replicas_, [replica](const auto& entry) { return entry.second == replica; });
  std::erase_if(order_, [this](const std::string& id) { return !replicas_.contains(id); });
}

}  // namespace reprise
