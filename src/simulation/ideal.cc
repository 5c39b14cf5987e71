#include "simulation/ideal.h"

#include <algorithm>

#include "simulation/replica_model.h"

namespace reprise {

IdealResult PlayIdeal(const Trace& trace, size_t memory_blocks, const std::vector<size_t>& order,
                      const SimulatedPace& pace) {
  const size_t all = trace.distinct_blocks + 1;
  ReplicaModel machine({.memory_blocks = memory_blocks == 0 ? all : std::min(memory_blocks, all),
                        .block_tokens = trace.block_tokens,
                        .pace = pace},
                       nullptr);
  IdealResult result;
  for (const size_t request : order) {
    result.prompt_tokens += trace.requests[request].tokens;
    machine.Enqueue(request);
    ReplicaModel::Begun begun;
    if (machine.TryBegin(trace, 0, begun) != ReplicaModel::Start::kBegun) {
      machine.DropFirst();
      continue;
    }
    result.read_tokens += begun.read_tokens;
    machine.EndPrompt(trace, 0);
    machine.EndReply(request, 0);
  }
  result.busy_seconds = machine.busy_seconds();
  return result;
}

}  // namespace reprise
