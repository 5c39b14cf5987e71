#pragma once

// What the replay socket answers with: the last batches that were published, and before them a
// whole, which stands for all that they follow. Whoever asks for a number that the batches still go
// back to gets them from there; whoever asks for an earlier one gets the whole and what follows it,
// which begins with AllBlocksCleared. vLLM keeps the last batches only, so that a reader that comes
// late never learns what has been cached for long.
//
// The whole's parts are numbered so that the first batch behind it follows. As batches come, a
// whole grows old: Older() says when one is to be made anew. One thread.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace reprise {

struct ReplayedBatch {
  uint64_t number = 0;
  std::shared_ptr<const std::string> payload;
};

class ReplayHistory {
 public:
  // Keeps about this many batches and bytes, and all since the whole.
  ReplayHistory(size_t most_batches, size_t most_bytes)
      : most_batches_(most_batches), most_bytes_(most_bytes) {}

  // Takes the next number, from 0.
  ReplayedBatch Add(std::string payload);
  // As of the last number; at most next() parts.
  void SetWhole(std::vector<std::string> parts);
  // Half of what may be kept follows the whole.
  bool Older() const;

  uint64_t next() const { return next_; }
  // In order, what there is from `start` on; until `visit` returns false.
  void ForEachFrom(uint64_t start, const std::function<bool(const ReplayedBatch&)>& visit) const;

 private:
  void Trim();

  const size_t most_batches_;
  const size_t most_bytes_;
  std::vector<ReplayedBatch> whole_;  // before anything was published: nothing, which is true
  std::deque<ReplayedBatch> batches_;
  size_t bytes_ = 0;         // of the batches
  size_t bytes_before_ = 0;  // of those that the whole has in it
  uint64_t follows_ = 0;     // the number of the first batch behind the whole
  uint64_t next_ = 0;
};

}  // namespace reprise
