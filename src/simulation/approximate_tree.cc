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
  Remember(trees_[worker], request);
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
    while (blocks < request.blocks.size() &&
           trees_[worker].places.contains(request.blocks[blocks])) {
      ++blocks;
    }
    if (blocks > best_blocks) best = worker, best_blocks = blocks;
  }
  if (static_cast<double>(best_blocks * block_tokens_) > kMatchThreshold * request.tokens) {
    return best;
  }
  const auto smallest = std::ranges::min_element(
      trees_, {}, [](const WorkerTree& tree) { return tree.blocks.size(); });
  return static_cast<size_t>(smallest - trees_.begin());
}

void ApproximateTree::Remember(WorkerTree& tree, const TraceRequest& request) {
  // From the end to the beginning, so that no block is older than those behind it.
  for (size_t i = request.blocks.size(); i-- > 0;) {
    const auto [found, added] = tree.places.try_emplace(request.blocks[i]);
    if (!added) tree.blocks.erase(found->second);
    tree.blocks.push_front(request.blocks[i]);
    found->second = tree.blocks.begin();
  }
}

void ApproximateTree::Evict() {
  for (WorkerTree& tree : trees_) {
    while (tree.blocks.size() * block_tokens_ > kMaxTreeTokens) {
      tree.places.erase(tree.blocks.back());
      tree.blocks.pop_back();
    }
  }
}

}  // namespace reprise
