#pragma once

// One replica under a simulated clock: the server's own prefix cache, and in place of the model a
// pace. Prompts are computed one after another, first come, first served; replies stream beside
// them, each at its own speed, and slow the prompts down by what their tokens cost. Below memory
// there may be a disk, where all that was computed lies until its room is needed.
//
// A trace knows its prompts by blocks; so a block of the cache is one of the trace's, and its
// number stands for its tokens. While a prompt waits nothing of it is held; from its beginning to
// the end of its reply a lease holds all of it, as in the engine.
//
// Times are simulated seconds. Not thread-safe.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "cache/block_pool.h"
#include "cache/prefix_cache.h"
#include "fleet/holdings.h"
#include "simulation/pace.h"
#include "simulation/recent_blocks.h"
#include "simulation/trace.h"

namespace reprise {

// Who is told what a replica holds.
class BlockWatcher {
 public:
  virtual ~BlockWatcher() = default;
  virtual void Stored(size_t replica, Level level, TokenId block) = 0;
  virtual void Removed(size_t replica, Level level, TokenId block) = 0;
};

class ReplicaModel {
 public:
  struct Options {
    size_t number = 0;  // of the replica, for the watcher
    size_t memory_blocks = 0;
    size_t disk_blocks = 0;
    size_t block_tokens = 0;
    SimulatedPace pace = {};
  };
  struct Begun {
    size_t request = 0;
    size_t read_tokens = 0;    // from memory
    size_t loaded_tokens = 0;  // from disk
  };
  enum class Start : uint8_t { kBegun, kNothing, kNoRoom };

  ReplicaModel(const Options& options, BlockWatcher* watcher);

  void Enqueue(size_t request) { waiting_.push_back(request); }
  // Begins the next prompt, if none is being computed: says when it will be done unless replies
  // begin or end before that. kNoRoom: not before a reply ends; if none runs, it never fits.
  Start TryBegin(const Trace& trace, double now, Begun& begun);
  size_t DropFirst();  // the first waiting request, which never fits

  // The prompt that is being computed, and when it will be done as things stand.
  std::optional<std::pair<size_t, double>> PromptEnd() const;
  // It is done: its reply streams. Returns when that ends.
  double EndPrompt(const Trace& trace, double now);
  void EndReply(size_t request, double now);

  // What a request that came now would wait for, as the engine tells it.
  double AheadSeconds(const Trace& trace, double now) const;
  size_t running() const { return leases_.size(); }
  double last_seconds() const { return last_seconds_; }  // of work of the prompt begun last
  double busy_seconds() const { return busy_seconds_; }

 private:
  struct Current {
    size_t request = 0;
    double work_seconds = 0;  // left at `since`
  };
  double Rate() const;
  double WorkLeft(double now) const;  // of the prompt that is being computed, at its own pace
  void Advance(double now);
  size_t OnDisk(std::span<const TokenId> blocks, size_t first);
  void WriteToDisk(TokenId number);
  std::optional<BlockId> Allocate();

  Options options_;
  BlockWatcher* watcher_;
  ManualClock clock_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<PrefixCache> cache_;
  std::vector<TokenId> number_of_;  // by block id; -1: none
  RecentBlocks disk_;
  std::deque<size_t> waiting_;
  std::optional<Current> current_;
  double since_ = 0;
  size_t streams_ = 0;
  std::unordered_map<size_t, Lease> leases_;  // by request
  double busy_seconds_ = 0;
  double last_seconds_ = 0;
};

}  // namespace reprise
