#pragma once

// Responses that clients may go on from by their ids (previous_response_id), or fetch again. In
// memory: bounded, for a while, for each tenant apart. Beyond the bound the oldest of whoever holds
// most go first. Thread-safe.

#include <boost/json.hpp>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"

namespace reprise {

struct StoredResponse {
  std::string body;   // as it was sent, JSON
  std::string items;  // JSON: the whole conversation, input and output
};

class ResponseStore {
 public:
  // `clock` outlives it.
  ResponseStore(const Clock* clock, Duration lifetime, size_t max_bytes)
      : clock_(clock), lifetime_(lifetime), max_bytes_(max_bytes) {}

  Duration lifetime() const { return lifetime_; }

  void Put(const std::string& tenant, const std::string& id, StoredResponse response);
  // Null: there is none, or no more.
  std::shared_ptr<const StoredResponse> Find(const std::string& tenant, const std::string& id);
  // False: there was none.
  bool Erase(const std::string& tenant, const std::string& id);

 private:
  struct Entry {
    std::shared_ptr<const StoredResponse> response;
    TimePoint until;
    size_t bytes = 0;
  };
  struct Tenant {
    std::map<std::string, Entry> entries;  // by id
    std::deque<std::string> order;         // oldest first; erased ones may be among them
    size_t bytes = 0;
  };
  void Drop(Tenant& tenant, const std::string& id);
  void DropOldest(Tenant& tenant);
  void DropExpired();

  const Clock* clock_;
  const Duration lifetime_;
  const size_t max_bytes_;
  std::mutex mutex_;
  std::map<std::string, Tenant> tenants_;  // guarded by mutex_
  size_t bytes_ = 0;                       // guarded by mutex_
};

}  // namespace reprise
