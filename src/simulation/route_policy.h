#pragma once

// The router's own decision (fleet/decision.h) over what it knows (fleet/holdings.h), told as the
// router is told. Not thread-safe.

#include <unordered_map>
#include <vector>

#include "fleet/decision.h"
#include "fleet/holdings.h"
#include "simulation/policy.h"

namespace reprise {

class RoutePolicy final : public Policy {
 public:
  explicit RoutePolicy(const PolicyOptions& options);

  size_t Choose(const Trace& trace, size_t request, const FleetView& fleet) override;
  void Begun(const Trace& trace, size_t request, size_t replica, size_t read_tokens) override;
  void Stored(size_t replica, Level level, TokenId block) override;
  void Removed(size_t replica, Level level, TokenId block) override;

 private:
  PromptShape ShapeOf(const TraceRequest& request) const;

  PolicyOptions options_;
  Holdings holdings_;
  Decider decider_;
  std::unordered_map<size_t, Decision> sent_;  // by request, until it begins
  std::vector<BlockName> chain_;
  std::vector<Reach> reach_;
  std::vector<ReplicaLoad> loads_;
};

}  // namespace reprise
