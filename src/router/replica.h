#pragma once

// One replica as the router sees it: where it is, whether it may be asked, what it has told of
// itself, and how many of our requests it has. What it holds is Holdings' matter
// (fleet/holdings.h), under its index. I/O thread only.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "fleet/decision.h"

namespace reprise {

struct ReplicaAddress {
  std::string host;  // a name, or an address without brackets
  uint16_t port = 0;

  std::string Name() const;  // "host:port"; an IPv6 address in brackets
  friend bool operator==(const ReplicaAddress&, const ReplicaAddress&) = default;
};

// Of "http://HOST:PORT" or "HOST:PORT", with a slash behind it or without. kInvalidArgument.
Result<ReplicaAddress> ParseReplicaAddress(std::string_view text);

// Written by who follows its events (ReplicaWatch); as it begins where nobody does.
struct ReplicaTold {
  ReplicaLoad load;       // `ready` is not looked at
  bool followed = false;  // its snapshot is whole: Holdings has what it holds
  bool draining = false;  // it is stopping: nothing new goes there
  std::string process;    // of its hello; empty: none has come
  std::string trouble;    // why nothing of what it tells is used; empty: it is
};

struct Replica {
  enum class Health : uint8_t { kUnknown, kLive, kStopping, kDead };

  Replica(size_t its_index, ReplicaAddress its_address)
      : index(its_index), address(std::move(its_address)), name(address.Name()) {}

  // Whether a request may be sent there at all. What is not known yet is tried.
  bool MayBeAsked() const {
    return !told.draining && (health == Health::kUnknown || health == Health::kLive);
  }

  const size_t index;  // < limits::kMaxReplicas; its place in Holdings, and among loads and reaches
  const ReplicaAddress address;
  const std::string name;
  ReplicaTold told;
  Health health = Health::kUnknown;
  size_t outstanding = 0;  // requests of ours that it has not ended
  // Since the start:
  uint64_t requests = 0;  // that it was sent
  uint64_t failures = 0;  // of those, that ended before their first byte
  uint64_t hits = 0;      // requests of which it read something from its cache
  uint64_t prompt_tokens = 0, expected_tokens = 0, read_tokens = 0;
  double busy_seconds = 0;  // that its requests took, added up
};

}  // namespace reprise
