#include "simulation/policy.h"

#include <algorithm>
#include <array>
#include <random>
#include <unordered_map>
#include <utility>

#include "simulation/approximate_tree.h"
#include "simulation/route_policy.h"

namespace reprise {
namespace {

constexpr size_t kHashedTokens = 2048;

constexpr std::array<std::string_view, 6> kPolicyNames = {
    "route", "approximate-tree", "hash", "session", "random", "round-robin"};
constexpr std::array<PolicyKind, 6> kPolicyKinds = {
    PolicyKind::kRoute,   PolicyKind::kApproximateTree, PolicyKind::kHash,
    PolicyKind::kSession, PolicyKind::kRandom,          PolicyKind::kRoundRobin};

class RoundRobin final : public Policy {
 public:
  explicit RoundRobin(const PolicyOptions& options) : replicas_(options.replicas) {}
  size_t Choose(const Trace&, size_t, const FleetView&) override { return next_++ % replicas_; }

 private:
  size_t replicas_, next_ = 0;
};

class RandomPolicy final : public Policy {
 public:
  explicit RandomPolicy(const PolicyOptions& options)
      : random_(options.seed), choice_(0, options.replicas - 1) {}
  size_t Choose(const Trace&, size_t, const FleetView&) override { return choice_(random_); }

 private:
  std::mt19937_64 random_;
  std::uniform_int_distribution<size_t> choice_;
};

class StickySessions final : public Policy {
 public:
  explicit StickySessions(const PolicyOptions& options) : replicas_(options.replicas) {}
  size_t Choose(const Trace& trace, size_t request, const FleetView&) override {
    const auto [found, added] = home_.try_emplace(trace.requests[request].session, next_);
    if (added) next_ = (next_ + 1) % replicas_;
    return found->second;
  }

 private:
  size_t replicas_, next_ = 0;
  std::unordered_map<uint32_t, size_t> home_;
};

class PrefixHash final : public Policy {
 public:
  explicit PrefixHash(const PolicyOptions& options)
      : replicas_(options.replicas),
        blocks_((kHashedTokens + options.block_tokens - 1) / options.block_tokens) {}
  size_t Choose(const Trace& trace, size_t request, const FleetView&) override {
    const std::vector<TokenId>& blocks = trace.requests[request].blocks;
    if (blocks.empty()) return 0;
    return NameOfNumber(blocks[std::min(blocks_, blocks.size()) - 1]) % replicas_;
  }

 private:
  size_t replicas_, blocks_;
};

}  // namespace

std::span<const std::string_view> PolicyNames() { return kPolicyNames; }

std::optional<PolicyKind> PolicyNamed(std::string_view name) {
  const auto found = std::ranges::find(kPolicyNames, name);
  if (found == kPolicyNames.end()) return std::nullopt;
  return kPolicyKinds[static_cast<size_t>(found - kPolicyNames.begin())];
}

std::unique_ptr<Policy> MakePolicy(PolicyKind kind, const PolicyOptions& options) {
  switch (kind) {
    case PolicyKind::kRoute:
      return std::make_unique<RoutePolicy>(options);
    case PolicyKind::kRoundRobin:
      return std::make_unique<RoundRobin>(options);
    case PolicyKind::kRandom:
      return std::make_unique<RandomPolicy>(options);
    case PolicyKind::kSession:
      return std::make_unique<StickySessions>(options);
    case PolicyKind::kHash:
      return std::make_unique<PrefixHash>(options);
    case PolicyKind::kApproximateTree:
      return std::make_unique<ApproximateTree>(options);
  }
  std::unreachable();
}

}  // namespace reprise
