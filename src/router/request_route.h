#pragma once

// What a request is for, by its method and path: where it may go, and whose errors it gets. Paths
// are passed on as they came; here slashes twice or at the end, "/v1" twice or left out are read as
// replicas read them. Pure; any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "vendor/wire_endpoint.h"

namespace reprise {

enum class RequestKind : uint8_t {
  kGenerate,        // a prompt: goes where its prefix is
  kAnyReplica,      // any replica answers alike
  kOneReplica,      // about one replica: the one that is named
  kStoredResponse,  // about a response that one replica has stored
  kHealth,          // the router's own, as the next two
  kMetrics,
  kFleet,
};

struct RequestRoute {
  RequestKind kind = RequestKind::kAnyReplica;
  std::string path;                        // as it is understood
  std::string_view label;                  // for counts: a path, or "other"
  const WireEndpoint* endpoint = nullptr;  // of kGenerate
  std::string response_id;                 // of kStoredResponse

  // Whether it is work that a replica has so much of at a time. What is about one replica is short,
  // or somebody who watches as long as they like.
  bool TakesPlace() const {
    return kind == RequestKind::kGenerate || kind == RequestKind::kAnyReplica;
  }
};

RequestRoute RouteOf(std::string_view method, std::string_view path);

// Whose shape errors have on a path, as the replicas have it.
const WireForm& ErrorFormOf(std::string_view path);

// The replica that a request names, in the header x-reprise-replica or as replica=NAME in the
// query; empty: none.
std::string NamedReplica(const HttpRequest& request);

}  // namespace reprise
