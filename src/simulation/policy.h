#pragma once

// Where a simulated fleet's requests go: the router's own decision beside what else is done.
//
//   round-robin       in turns
//   random            at random
//   session           a session stays where its first request went; those go in turns
//   hash              by a hash of the prompt's first 2,048 tokens
//   approximate-tree  approximate_tree.h
//   route             route_policy.h
//
// Not thread-safe.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "fleet/decision.h"
#include "simulation/pace.h"
#include "simulation/replica_model.h"
#include "simulation/trace.h"

namespace reprise {

// What a replica told of itself last.
struct ToldLoad {
  double ahead_seconds = 0;
  double at_seconds = 0;
};

struct FleetView {
  double now = 0;
  std::span<const ToldLoad> loads;
  std::span<const size_t> outstanding;  // requests sent there whose replies have not ended
};

class Policy : public BlockWatcher {
 public:
  virtual size_t Choose(const Trace& trace, size_t request, const FleetView& fleet) = 0;
  // The prompt's turn has come there, and so much of it was read; or it cannot be computed there.
  virtual void Begun(const Trace&, size_t /*request*/, size_t /*replica*/, size_t /*read_tokens*/) {
  }
  void Stored(size_t, Level, TokenId) override {}
  void Removed(size_t, Level, TokenId) override {}
};

struct PolicyOptions {
  size_t replicas = 0;
  size_t block_tokens = 0;
  uint64_t seed = 1;
  SimulatedPace pace = {};
  DecisionWeights weights = {};  // of `route`
};

enum class PolicyKind : uint8_t {
  kRoute,
  kRoundRobin,
  kRandom,
  kSession,
  kHash,
  kApproximateTree,
};

// Of all, in the order in which people want to see them.
std::span<const std::string_view> PolicyNames();
std::optional<PolicyKind> PolicyNamed(std::string_view name);
std::unique_ptr<Policy> MakePolicy(PolicyKind kind, const PolicyOptions& options);

}  // namespace reprise
