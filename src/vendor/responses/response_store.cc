#include "vendor/responses/response_store.h"

#include <algorithm>
#include <utility>

namespace reprise {

void ResponseStore::Drop(Tenant& tenant, const std::string& id) {
  const auto entry = tenant.entries.find(id);
  if (entry == tenant.entries.end()) return;
  tenant.bytes -= entry->second.bytes;
  bytes_ -= entry->second.bytes;
  tenant.entries.erase(entry);
}

void ResponseStore::DropOldest(Tenant& tenant) {
  Drop(tenant, tenant.order.front());
  tenant.order.pop_front();
}

// Ids are in order of their coming, and all live equally long.
void ResponseStore::DropExpired() {
  const TimePoint now = clock_->Now();
  for (auto& [name, tenant] : tenants_) {
    while (!tenant.order.empty()) {
      const auto entry = tenant.entries.find(tenant.order.front());
      if (entry != tenant.entries.end() && entry->second.until > now) break;
      DropOldest(tenant);
    }
  }
}

void ResponseStore::Put(const std::string& tenant, const std::string& id, StoredResponse response) {
  constexpr size_t kEntryBytes = 512;  // about, with its places in map and order
  const size_t bytes = kEntryBytes + response.body.size() + response.items.size();
  const std::lock_guard lock(mutex_);
  DropExpired();
  if (bytes > max_bytes_ || lifetime_ <= Duration::zero()) return;
  Tenant& mine = tenants_[tenant];
  mine.entries[id] = {std::make_shared<const StoredResponse>(std::move(response)),
                      clock_->Now() + lifetime_, bytes};
  mine.order.push_back(id);
  mine.bytes += bytes;
  bytes_ += bytes;
  while (bytes_ > max_bytes_) {
    DropOldest(std::ranges::max_element(tenants_, {}, [](const auto& entry) {
                 return entry.second.bytes;
               })->second);
  }
}

std::shared_ptr<const StoredResponse> ResponseStore::Find(const std::string& tenant,
                                                          const std::string& id) {
  const std::lock_guard lock(mutex_);
  DropExpired();
  const auto mine = tenants_.find(tenant);
  if (mine == tenants_.end()) return nullptr;
  const auto entry = mine->second.entries.find(id);
  return entry == mine->second.entries.end() ? nullptr : entry->second.response;
}

bool ResponseStore::Erase(const std::string& tenant, const std::string& id) {
  const std::lock_guard lock(mutex_);
  DropExpired();
  const auto mine = tenants_.find(tenant);
  if (mine == tenants_.end() || !mine->second.entries.contains(id)) return false;
  Drop(mine->second, id);
  return true;
}

}  // namespace reprise
