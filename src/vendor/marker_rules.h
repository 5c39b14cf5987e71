#pragma once

// What becomes of a cache marker that its vendor would refuse: under --strict-api the first one is
// a 400 in the vendor's words, else the marker is ignored and a warning remembered. Which markers
// there are is each vendor's own (openai/caching.h, anthropic/cache_control.h).
// Used while one call is read; not thread-safe.

#include <boost/json.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "vendor/api_policy.h"

namespace reprise {

// A number and a unit of s, m, h or d: "90s", "30m", "12h". nullopt for anything else, 0 included.
std::optional<Duration> ParseTtl(std::string_view text);
// The shortest writing that ParseTtl reads back.
std::string TtlText(Duration ttl);

class MarkerRules {
 public:
  explicit MarkerRules(const ApiPolicy& policy) : policy_(policy) {}

  // A ttl in `object`; `vendor` lists what the vendor takes. nullopt when absent or ignored.
  std::optional<Duration> Ttl(const boost::json::object& object, std::string_view path,
                              std::initializer_list<std::string_view> vendor);

  // A breach: "path: what".
  void Breach(std::string_view path, std::string_view what);

  const ApiPolicy& policy() const { return policy_; }
  const Status& status() const { return status_; }
  // For x-reprise-cache-warning; empty when there is nothing to say.
  std::string warning() const;

 private:
  const ApiPolicy& policy_;
  Status status_;
  std::vector<std::string> warnings_;  // the first few
  size_t breaches_ = 0;
};

inline constexpr size_t kMaxMarks = 4;  // of one request, with both vendors

}  // namespace reprise
