#pragma once

// The one thread that owns model and cache. Runs steps: each step forms one batch of decode rows
// and prefill chunks, runs the forward pass, publishes full blocks, samples, and reports to sinks.
//
// Submit, Cancel, Flush, TakeSnapshot, the tree's, WatchBlocks, Wake, stats: any thread. Everything
// else happens on the engine thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cache/prefix_cache.h"
#include "engine/guess_source.h"
#include "generation/request.h"
#include "model/model.h"
#include "text/tokenizer.h"
#include "tiers/block_changes.h"
#include "tiers/block_tier.h"

namespace reprise {

struct EngineOptions {
  size_t kv_bytes = 0;  // the arena
  // What promises (breakpoints) may hold of it; none: half. Never so much that the longest sequence
  // would not fit beside them.
  std::optional<size_t> pin_bytes;
  size_t pin_bytes_per_tenant = 0;        // of that, what one tenant's may; 0: all
  Duration retention = Duration::max();   // unused; Duration::max(): until the room is needed
  int context = 0;                        // 0: the model's
  int prefill_chunk = 512;                // tokens of prefill a step when nothing else runs
  int prefill_chunk_beside_decode = 128;  // … when streams are running, or fewer, to keep to …
  // … what they are to wait at most, as far as the speed of earlier steps tells.
  Duration stream_pause = std::chrono::milliseconds(100);
  // Verify guesses at the next tokens of a reply in one step. Changes no bit of a reply. Models
  // with recurrent layers guess nothing: their state cannot be taken back.
  bool speculate = true;
  bool checksum_logits = false;  // fill FinishedEvent::logits_checksum (for tests)
};

// The stores below memory.
struct EngineTiers {
  // Of K and V (model/kv_identity.h): what blocks are named by, here and in the stores.
  Sha256 identity = {};
  std::vector<std::unique_ptr<BlockTier>> tiers = {};  // the fastest first
  // One that says nothing for so long stands still, and is not waited for; or for a share of what
  // computing takes, if that is longer (lower_tier.cc).
  Duration patience = std::chrono::milliseconds(50);
};

struct EngineStats {
  PrefixCache::Sizes cache;
  PrefixCache::Counters cache_counters;
  size_t block_bytes = 0;
  int block_tokens = 0;
  size_t state_bytes = 0;  // of one recurrent state; 0: the model has none
  size_t running = 0, waiting = 0;
  uint64_t requests = 0;         // admitted
  uint64_t hits = 0;             // of those, that read at least half of their prompt
  uint64_t prompt_tokens = 0;    // of admitted requests
  uint64_t cached_tokens = 0;    // of those, read from the cache
  uint64_t computed_tokens = 0;  // prefilled
  uint64_t generated_tokens = 0;
  uint64_t cancelled = 0, failed = 0, preempted = 0;
  uint64_t steps = 0;
  uint64_t stored_tokens = 0;  // of the cached ones, read from below memory
  // Guessed tokens that were computed, by where the guess came from (GuessSource): that became the
  // reply's, and in vain.
  PerGuessSource<uint64_t> accepted_guesses{};
  PerGuessSource<uint64_t> rejected_guesses{};
  double prefill_seconds = 0, decode_seconds = 0;
  // What computing a prompt takes, as measured lately: of its token behind n others
  // seconds_per_token + n * seconds_per_token_and_key. 0: not measured yet.
  double seconds_per_token = 0, seconds_per_token_and_key = 0;
  double ahead_seconds = 0;  // of prompts admitted or waiting, what is not computed yet, by these
  std::vector<BlockTier::Counters> tiers;
};

// Of one tenant alone; counts since the start.
struct TenantStats {
  TenantSizes cache;
  uint64_t requests = 0;       // admitted
  uint64_t hits = 0;           // of those, that read at least half of their prompt
  uint64_t prompt_tokens = 0;  // of admitted requests
  uint64_t cached_tokens = 0;  // of those, read from the cache
};

// Everything of one moment.
struct EngineSnapshot {
  EngineStats total;
  std::vector<TenantStats> tenants;  // of all that ever asked, by name
};

class Engine {
 public:
  // Starts the thread. kInvalidArgument when kv_bytes holds not one block (and, of models with
  // recurrent layers, two states beside it). The tiers' blocks have BlockBytes (memory_plan.h).
  static Result<std::unique_ptr<Engine>> Start(std::unique_ptr<Model> model,
                                               std::shared_ptr<const Tokenizer> tokenizer,
                                               const Clock* clock, EngineOptions options,
                                               EngineTiers below = {});
  virtual ~Engine() = default;  // cancels everything and joins the thread

  // Never blocks. A full mailbox or a refused prompt is reported through the sink (FailedEvent).
  virtual SequenceId Submit(GenerationRequest request, EventSink sink) = 0;
  // Within one step. Unknown ids are ignored (the request may have just ended).
  virtual void Cancel(SequenceId id) = 0;
  // Drops everything not in use, promises and the stores below included; done(blocks of memory
  // freed, or which of the stores was not emptied) is called on a thread of the engine's.
  virtual void Flush(std::function<void(Result<size_t>)> done) = 0;

  // Counts by tenant, between two steps; done is called on the engine thread.
  virtual void TakeSnapshot(std::function<void(EngineSnapshot)> done) = 0;

  // Copies the tree as far as the query says, between two steps: a few milliseconds for a million
  // tokens (docs/design/cache.md). done is called on the engine thread, as in the two below.
  virtual void DescribeTree(TreeQuery query, std::function<void(TreeView)> done) = 0;
  // As PrefixCache::Drop: nullopt if the tree has no such node. The stores below memory keep
  // theirs.
  virtual void DropTreeNode(TreeNodeId id, std::function<void(std::optional<TreeDrop>)> done) = 0;
  // As PrefixCache::Keep.
  virtual void KeepTreeNode(TreeNodeId id, Duration ttl,
                            std::function<void(std::optional<TreeKeep>)> done) = 0;

  // Tells `sink` what memory and each store below hold, as far as it wants it, and then every
  // change.
  virtual void WatchBlocks(BlockView view, BlockSink sink) = 0;

  // Has the engine look at its clock now: what has expired goes. For clocks that jump (tests); with
  // a real one the engine wakes by itself.
  virtual void Wake() = 0;

  virtual EngineStats stats() const = 0;  // a snapshot, at most one step old
  virtual const ModelConfig& model_config() const = 0;
  // What blocks are named by beside their scope and tokens: EngineTiers::identity.
  virtual Sha256 block_identity() const = 0;
  // Longest prompt + reply: the context, or what the arena holds if that is less.
  virtual int max_sequence_tokens() const = 0;
};

}  // namespace reprise
