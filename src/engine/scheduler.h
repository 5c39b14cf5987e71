#pragma once

// Who runs, and with how many rows each step. Owns the waiting and the running sequences and moves
// their blocks between pool and cache; knows neither the model nor text. Engine thread.
//
// Waiting sequences are admitted first come, first served, when the blocks of their prompt fit
// beside those that run. One whose prefix is being computed by a running sequence waits for it and
// shares it; others may pass it meanwhile. A background sequence is admitted only when nothing else
// waits or runs, and computes only while nothing else does.
//
// Blocks of a reply are taken as it grows. When there is none left, the sequence admitted last is
// set aside: its blocks become ordinary cached ones, and it waits at the head of the line, to read
// them back or compute them again (with the same bits, so nobody can tell). The oldest is never set
// aside, and any sequence fits alone, beside all that promises may hold (so chosen by the engine):
// so there is always progress.
//
// Beside the rows of streams, guesses at what they go on with are computed in the same step
// (scheduler_drafts.cc), as many as are worth their time: what of them comes true need not be
// computed again. They take free blocks only. A recurrent state cannot be taken back, so models
// that have one guess nothing.
//
// With recurrent layers a running sequence also has a state (state_keeper.h), and who finds none
// free waits. One that is set aside leaves its own as a snapshot, and goes on from there if it is
// still kept.
//
// Breakpoints are accepted or not at the first admission and become promises as the prompt is
// published. A sequence set aside keeps its reservation; one that is cancelled keeps the promises
// that it had come to.

#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "cache/block_pool.h"
#include "cache/prefix_cache.h"
#include "engine/lower_tier.h"
#include "engine/row_price.h"
#include "engine/sequence.h"
#include "engine/state_keeper.h"
#include "engine/step_pace.h"

namespace reprise {

class Scheduler {
 public:
  struct Options {
    size_t prefill_chunk = 512;                // prompt tokens of a step
    size_t prefill_chunk_beside_decode = 128;  // … beside streams, and not more than take …
    Duration stream_pause = Duration::max();   // … so long, as far as is known
    double cost_per_key = 0;                   // of attention, see StepPace
    size_t state_interval = 0;                 // see StateKeeper; 0: a model without states
    bool speculate = false;                    // compute guesses beside streams' rows
    size_t longest_sequence = std::numeric_limits<size_t>::max();  // tokens, prompt and reply
    std::function<bool(TokenId)> ends_reply = {};                  // nothing is guessed behind it
  };

  // One sequence's share of a step: its rows are tokens[computed, computed + rows), and behind them
  // those of sequence->draft.
  struct Share {
    Sequence* sequence = nullptr;
    size_t rows = 0;
    bool wants_logits = false;  // of the last of them, and of each guess
    size_t guesses = 0;         // the draft's size
  };

  // All outlive the scheduler.
  Scheduler(BlockPool* pool, PrefixCache* cache, PromptEnds* ends, const Clock* clock,
            Options options, LowerTier::Options below = {});

  void Enqueue(std::unique_ptr<Sequence> sequence);

  // Admits what can run; `started` is called for each sequence admitted for the first time.
  void Admit(const std::function<void(Sequence&)>& started);

  // When, in real time, a waiting sequence gives up waiting for blocks from below; nullopt: none
  // does.
  std::optional<LowerTier::RealTime> patience() const;

  // Admitted sequences that are to continue from Sequence::end before the next plan.
  std::vector<Sequence*> WhollyRead() const;

  // The next step's shares; empty when nothing runs. Takes blocks for growing replies and may set
  // sequences aside. Valid until the next call of any other method but Advance and Accept.
  const std::vector<Share>& Plan();

  // The planned rows are computed: counts them and publishes what became full, and a prompt's end.
  void Advance();
  // So many more of a draft's tokens are the sequence's: its rows are computed.
  void Accept(Sequence& sequence, size_t guesses);

  // The step of the last plan took so long; with ManualClock tests, whatever they say.
  void Observe(Duration took);

  // What computing a prompt's first tokens would take, attention to the keys before each included,
  // at the speed of the steps so far: of large ones where there were any. 0 while there was no
  // step.
  double SecondsToCompute(size_t tokens) const;

  const StepPace& pace() const { return pace_; }
  // Of the prompts of all sequences, what is not computed and, of those that wait, was not expected
  // to be read; as StepPace counts.
  double CostAhead() const;

  // Takes a sequence out, wherever it is; what it computed stays cached. nullptr if unknown.
  std::unique_ptr<Sequence> Remove(SequenceId id);

  std::vector<std::unique_ptr<Sequence>> RemoveAll();

  // Running sequences that have all they asked for without another step (cache fills read in full).
  std::vector<SequenceId> Satisfied() const;

  size_t waiting() const { return waiting_.size(); }
  size_t running() const { return running_.size(); }
  uint64_t preempted() const { return preempted_; }
  bool idle() const { return waiting_.empty() && running_.empty(); }

 private:
  bool AdmitInOrder(const std::function<void(Sequence&)>& started);
  bool WaitsForBlocks(Sequence& sequence, std::vector<const Sequence*>& before);
  bool TryAdmit(Sequence& sequence);
  void Begin(Sequence& sequence);  // admitted for the first time
  bool WaitsForPrefill(Sequence& sequence);
  size_t Meet(Sequence& owner, const Sequence& sequence, size_t common) const;
  // Takes blocks for sequence.tokens after a match; false (and nothing taken) if they do not fit.
  bool TakePromptBlocks(Sequence& sequence, PrefixMatch match);
  void EnsureBlocks(Sequence& sequence);
  void SetAside(size_t running_index);
  size_t YoungestRunning() const;
  Sequence* FindRunning(SequenceId id) const;
  void AddBlock(Sequence& sequence, BlockId block);
  void PublishFull(Sequence& sequence);
  void PublishTail(Sequence& sequence);
  void Conclude(Sequence& sequence);
  void GiveBack(Sequence& sequence);
  size_t BlocksFor(size_t tokens) const;
  void PlanDecode();
  size_t MostGuessed(const Sequence& sequence) const;
  void Guess(Sequence& sequence, size_t most);
  size_t TakeFreeBlocks(Sequence& sequence, size_t rows);
  void PlanDrafts();
  void PlanPrefill(size_t budget, double cost);

  BlockPool* pool_;
  PrefixCache* cache_;
  PromptEnds* ends_;
  const Clock* clock_;
  Options options_;
  size_t block_tokens_;
  std::deque<std::unique_ptr<Sequence>> waiting_;   // in order of arrival, those set aside first
  std::vector<std::unique_ptr<Sequence>> running_;  // in order of admission
  std::vector<Share> plan_;
  double plan_cost_ = 0;     // of its prompt rows
  size_t plan_guesses_ = 0;  // rows of drafts
  StepPace pace_;
  RowPrice price_;
  StateKeeper states_;
  LowerTier below_;
  uint64_t preempted_ = 0;
};

}  // namespace reprise
