#pragma once

// Guesses at the tokens that a reply goes on with, from what is at hand, and how often such guesses
// have come true in this reply. A guess costs time and decides nothing: it is verified against what
// is sampled (scheduler_drafts.cc, EngineThread::Verify).
//
// Guesses are told apart by how sure they are, and each kind is believed as it has earned.
//
// One per sequence; engine thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/ids.h"
#include "engine/guess_source.h"

namespace reprise {

enum class GuessKind : uint8_t {
  kTree,
  kPrediction,       // from its beginning, or after a long stretch of it
  kFreshPrediction,  // where the reply has just come back to it
  kNgram,
  kLongNgram,  // the same tokens came before for a while
};
inline constexpr size_t kGuessKinds = 5;

GuessSource SourceOf(GuessKind kind);

// How far guesses of one kind hold: a running geometric mean, so that it falls within a few steps
// where a text turns new, and doubles as fast where guesses come true as a whole.
class GuessRecord {
 public:
  explicit GuessRecord(double tokens);

  // Of a guess, the first `accepted` tokens came true; `missed`: and not the next.
  void Learn(size_t accepted, bool missed);
  // There was a guess, and it was not worth a try: what is believed goes back, slowly, to what was
  // at the beginning.
  void Pass();
  // That the next token of a guess comes true.
  double probability() const;

 private:
  double first_;  // as log(1 + tokens)
  double log_;
};

// Where earlier tokens ended with the same 3 or more as `tokens` do: of the latest of these places
// the one with the longest match. Walks all tokens; a step's attention reads a thousand times more.
struct EarlierMatch {
  size_t next = 0;    // index of the token that followed there
  size_t length = 0;  // of the match, as far as was looked
};
std::optional<EarlierMatch> FindEarlier(std::span<const TokenId> tokens);

// A place in a predicted text that a reply follows, leaves, and comes back to.
class PredictionCursor {
 public:
  // The prediction outlives it.
  explicit PredictionCursor(std::span<const TokenId> prediction) : prediction_(prediction) {}

  // The reply so far; it only grows.
  void Follow(std::span<const TokenId> reply);
  // What of the prediction is next; empty: the reply is elsewhere, or it is at the end.
  std::span<const TokenId> Rest() const;
  // The reply has just come back, and may be gone again.
  bool fresh() const { return returned_ && run_ < kProvenRun; }
  // Tokens of the reply that were what the prediction had next.
  size_t followed_tokens() const { return hits_; }

 private:
  static constexpr size_t kProvenRun = 8;

  std::optional<size_t> Find(std::span<const TokenId> reply) const;

  std::span<const TokenId> prediction_;
  size_t seen_ = 0;  // tokens of the reply
  size_t next_ = 0;  // in the prediction, or where it was left
  bool lost_ = false;
  bool returned_ = false;  // it was lost before
  size_t run_ = 0;         // tokens followed since
  size_t hits_ = 0;
};

class Guesses {
 public:
  explicit Guesses(std::span<const TokenId> prediction);

  GuessRecord& record(GuessKind kind) { return records_[static_cast<size_t>(kind)]; }
  PredictionCursor& prediction() { return prediction_; }
  const PredictionCursor& prediction() const { return prediction_; }

 private:
  std::array<GuessRecord, kGuessKinds> records_;
  PredictionCursor prediction_;
};

}  // namespace reprise
