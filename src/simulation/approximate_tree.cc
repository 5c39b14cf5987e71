#include "simulation/approximate_tree.h"

#include <algorithm>

namespace reprise {
namespace {

constexpr double kMatchThreshold = 0.3;
constexpr size_t kBalanceAbsolute = 64;
constexpr double kBalanceRelative = 1.5;
constexpr double kEvictionSeconds = 120;
constexpr size_t kMaxTreeTokens = (size_t{1} << 26) / 4;  // four characters a token

}  // namespace

ApproximateTree::ApproximateTree(const PolicyOptions& options)
    : block_tokens_(options.block_tokens), trees_(options.replicas) {}

size_t ApproximateTree::Choose(const Trace& trace, size_t index, const FleetView& fleet) {
  if (fleet.now - evicted_at_ >= kEvictionSeconds) {
    Evict();
    evicted_at_ = fleet.now;
  }
  const TraceRequest& request = trace.requests[index];
  const size_t worker = Pick(request, fleet);
  // From the end to the beginning, so that no block is older than those behind it.
  for (size_t i = request.blocks.size(); i-- > 0;) trees_[worker].Use(request.blocks[i]);
  return worker;
}

size_t ApproximateTree::Pick(const TraceRequest& request, const FleetView& fleet) const {
  const auto [fewest, most] = std::ranges::minmax_element(fleet.outstanding);
  if (*most - *fewest > kBalanceAbsolute &&
      static_cast<double>(*most) > kBalanceRelative * static_cast<double>(*fewest)) {
    return static_cast<size_t>(fewest - fleet.outstanding.begin());
  }
  size_t best = 0, best_blocks = 0;
  for (size_t worker = 0; worker < trees_.size(); ++worker) {
    size_t blocks = 0;
    while (blocks < request.blocks.size() && trees_[worker].contains(request.blocks[blocks])) {
      ++blocks;
    }
    if (blocks > best_blocks) best = worker, best_blocks = blocks;
  }
  if (static_cast<double>(best_blocks * block_tokens_) > kMatchThreshold * request.tokens) {
    return best;
  }
  const auto smallest = std::ranges::min_element(trees_, {}, &RecentBlocks::size);
  return static_cast<size_t>(smallest - trees_.begin());
}

void ApproximateTree::Evict() {
  for (RecentBlocks& tree : trees_) {
    while (tree.size() * block_tokens_ > kMaxTreeTokens) tree.DropOldest();
  }
}

}  // namespace reprise
