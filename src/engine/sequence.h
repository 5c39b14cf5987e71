#pragma once

// One generation on its way: its tokens, what of them is computed and published, the blocks that
// hold its K and V, and what turns logits into text. A plain record; the scheduler moves it along,
// the engine samples from it. Owned by the engine thread.
//
//   tokens      |----------- prompt -----------|------ reply ------|~ draft ~
//   published   |======================|                              findable by everyone
//   computed    |==========================|                          K and V are in blocks
//   blocks      [  b0  ][  b1  ][  b2  ][  b3  ]                      cover at least `computed`
//
// published ≤ computed ≤ tokens.size(); the newest token of a reply is not computed until the next
// step, and never if the reply ends with it. A draft is no part of tokens: its rows are written
// behind them, and count as computed when, and as far as, it has come true.

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "cache/prefix_cache.h"
#include "engine/guesses.h"
#include "engine/prompt_ends.h"
#include "engine/reply_text.h"
#include "engine/sampler.h"
#include "generation/request.h"
#include "tiers/block_tier.h"

namespace reprise {

struct Sequence {
  Sequence(SequenceId sequence_id, GenerationRequest generation_request, EventSink event_sink,
           TimePoint now)
      : id(sequence_id),
        request(std::move(generation_request)),
        sink(std::move(event_sink)),
        tokens(request.prompt),
        guesses(request.prediction),
        sampler(request.sampling, request.prompt),
        text(request.stop),
        submitted(now) {}

  size_t prompt_size() const { return request.prompt.size(); }
  bool generates() const { return request.max_tokens.value_or(1) > 0; }
  // Rows still to compute: all for a prompt being read, one for a stream, or a few where a grammar
  // left no choice.
  size_t uncomputed() const { return tokens.size() - computed; }
  bool prefilling() const {
    return computed < prompt_size() || uncomputed() > limits::kMaxForcedRows;
  }
  bool background() const { return request.priority == Priority::kBackground && !urgent; }
  bool publishes() const { return request.cache == CacheUse::kReadAndPublish; }

  SequenceId id;
  GenerationRequest request;
  EventSink sink;

  std::vector<TokenId> tokens;
  size_t computed = 0;
  size_t published = 0;
  std::vector<BlockId> blocks;         // one reference each
  std::vector<std::byte*> block_data;  // their addresses
  Lease lease;                         // holds the published path
  Reservation reservation;             // for breakpoints that are not published yet

  // Guesses at what follows `tokens`, and of which kind; of the step that is planned.
  struct Draft {
    std::vector<TokenId> tokens;
    GuessKind kind = GuessKind::kTree;
  };
  Draft draft;
  Guesses guesses;
  int rejected_prediction_tokens = 0;

  // Of models with recurrent layers (state_keeper.h), while it runs.
  StateReference state;           // stands behind tokens[0, computed)
  std::set<size_t> state_places;  // tokens behind which a snapshot is to be kept

  size_t expected_read = 0;  // of the prompt, when it began to wait

  // While waiting: the running sequence whose prefill this one is going to share, and how far.
  struct SharedPrefill {
    SequenceId owner;
    size_t tokens = 0;
  };
  std::optional<SharedPrefill> waits_for;

  // What of it lies below memory (lower_tier.h).
  struct Below {
    std::vector<BlockKey> keys;        // of its first blocks, as far as they were asked for
    size_t next_tier = 0;              // that will be asked, by its index
    std::shared_ptr<TierFetch> fetch;  // on its way from the one before that
    Lease lease;                       // holds what came, until the sequence is admitted
    size_t next_block = 0;             // that comes
    // Of models with recurrent states.
    size_t first_block = 0;    // that was asked for
    size_t next_part = 0;      // of the state that comes behind the blocks
    StateReference state;      // into which it comes
    std::set<size_t> states;   // blocks behind whose edge it offered or read a state
    PerTier<size_t> read;      // tokens that came
    PerTier<TierMiss> missed;  // why no more came
    std::chrono::steady_clock::duration patience{};  // without any news
    std::chrono::steady_clock::time_point gives_up;
    uint64_t progress = 0;  // of the tier, when it last moved
  };
  Below below;

  // The whole prompt was read, and these are the logits behind it: the reply begins without a step.
  PromptEnds::Logits end;

  // For an embedding: the sum of the hidden states so far, row by row in their order, so that
  // neither chunks nor company have a say.
  std::vector<double> pooled;  // [hidden]

  bool urgent = false;  // came in the background, but now somebody waits for what it computes

  // Set once the sequence has come to its end; the engine then takes it out and reports.
  struct Ending {
    FinishReason reason = FinishReason::kStop;
    std::string stop_string = {};
    std::optional<Error> error = {};  // instead of a reason
  };
  std::optional<Ending> ending;

  bool started = false;  // StartedEvent was sent
  // Decided at the first admission.
  size_t cached_tokens = 0;                    // read
  size_t known_tokens = 0;                     // with cached K and V: no fewer
  std::optional<Loss> lost;                    // why no more, if the cache remembers
  std::vector<BreakpointOutcome> breakpoints;  // kept, or not for want of room
  Sampler sampler;
  std::deque<TokenId> forced;  // that the reply goes on with in any case (request.constraint)
  ReplyText text;
  std::vector<TokenInfo> held_infos;  // of tokens whose text is held back
  uint64_t checksum = 0xCBF29CE484222325ULL;
  int completion_tokens = 0;

  TimePoint submitted;
  TimePoint admitted;
  TimePoint first_token;
};

}  // namespace reprise
