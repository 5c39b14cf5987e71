#pragma once

// What SGLang's router does with its policy cache_aware, by its documentation (sglang-router 0.3,
// with the thresholds that it has by default): it remembers which prompts it sent to which worker,
// in one tree, and knows nothing of what workers drop.
//
//   - where the most requests running on a worker are more than 64 above the fewest, and more than
//     1.5 times them: the worker with the fewest;
//   - where a worker was sent more than 30 % of the prompt before: the one that was sent most of
//   it;
//   - else: the worker with the smallest tree.
//
// Every 120 s a worker's tree is cut to 2^26 characters, the least recently used first. Not
// thread-safe.

#include <vector>

#include "simulation/policy.h"
#include "simulation/recent_blocks.h"

namespace reprise {

class ApproximateTree final : public Policy {
 public:
  explicit ApproximateTree(const PolicyOptions& options);
  size_t Choose(const Trace& trace, size_t request, const FleetView& fleet) override;

 private:
  size_t Pick(const TraceRequest& request, const FleetView& fleet) const;
  void Evict();

  size_t block_tokens_;
  std::vector<RecentBlocks> trees_;  // of each worker
  double evicted_at_ = 0;
};

}  // namespace reprise
