#include "engine/guesses.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace reprise {
namespace {

// How many tokens each kind is believed to hold for before anything is known, by GuessKind: enough
// for a first guess that is worth its rows, too few for one that costs much.
constexpr std::array<double, kGuessKinds> kFirstTokens = {4, 4, 2, 0.7, 3};

// Of a guess's outcome in what is believed next.
constexpr double kLearned = 0.5;
// Of the way back for each guess that was not tried: with a row that costs a tenth of a step, one
// that is tried every now and then costs a hundredth.
constexpr double kForgotten = 0.005;

// Shorter matches are chance.
constexpr size_t kLeastMatch = 3;
constexpr size_t kLongestMatch = 32;
// Places that are compared.
constexpr size_t kPlaces = 16;

// Around the place where a reply left its prediction, so many equal tokens are enough to come back.
constexpr size_t kLeastReturn = 2;
constexpr size_t kNear = 128;

// Length of the longest common end of both, at most `most`.
size_t CommonEnd(std::span<const TokenId> a, std::span<const TokenId> b, size_t most) {
  const size_t length = std::min({a.size(), b.size(), most});
  size_t common = 0;
  while (common < length && a[a.size() - 1 - common] == b[b.size() - 1 - common]) ++common;
  return common;
}

}  // namespace

GuessSource SourceOf(GuessKind kind) {
  switch (kind) {
    case GuessKind::kTree:
      return GuessSource::kTree;
    case GuessKind::kPrediction:
    case GuessKind::kFreshPrediction:
      return GuessSource::kPrediction;
    case GuessKind::kNgram:
    case GuessKind::kLongNgram:
      return GuessSource::kNgram;
  }
  CHECK(false, "a guess has one of the kinds");
}

GuessRecord::GuessRecord(double tokens) : first_(std::log1p(tokens)), log_(first_) {}

void GuessRecord::Learn(size_t accepted, bool missed) {
  const auto seen = static_cast<double>(accepted);
  // What came true as a whole would have held for longer.
  const double held = std::log1p(missed ? seen : 2 * seen + 1);
  log_ += kLearned * ((missed ? held : std::max(held, log_)) - log_);
}

void GuessRecord::Pass() { log_ += kForgotten * (first_ - log_); }

// A guess of probability p a token holds for p / (1 − p) tokens on average.
double GuessRecord::probability() const {
  const double tokens = std::expm1(log_);
  return tokens / (tokens + 1);
}

std::optional<EarlierMatch> FindEarlier(std::span<const TokenId> tokens) {
  if (tokens.size() <= kLeastMatch) return std::nullopt;
  const TokenId* const t = tokens.data();
  const size_t last = tokens.size() - 1;
  const TokenId a = t[last - 2], b = t[last - 1], c = t[last];
  const auto ends_here = [&](size_t at) {
    return (t[at] == c) & (t[at - 1] == b) & (t[at - 2] == a);
  };
  EarlierMatch best;
  size_t places = 0;
  // Backwards, a stretch at a time: a loop without a way out is done for several tokens at once.
  constexpr size_t kStretch = 64;
  for (size_t end = last; end > 2 && places < kPlaces && best.length < kLongestMatch;) {
    const size_t begin = std::max<size_t>(end > kStretch ? end - kStretch : 0, 2);
    bool any = false;
    for (size_t at = begin; at < end; ++at) any |= ends_here(at);
    for (size_t at = end; any && at-- > begin && places < kPlaces;) {
      if (!ends_here(at)) continue;
      ++places;
      const size_t length = CommonEnd(tokens, tokens.first(at + 1), kLongestMatch);
      if (length > best.length) best = {at + 1, length};
    }
    end = begin;
  }
  if (best.length == 0) return std::nullopt;
  return best;
}

void PredictionCursor::Follow(std::span<const TokenId> reply) {
  for (; seen_ < reply.size(); ++seen_) {
    if (!lost_ && next_ < prediction_.size() && prediction_[next_] == reply[seen_]) {
      ++next_;
      ++run_;
      ++hits_;
      continue;
    }
    lost_ = true;
    if (const auto found = Find(reply.first(seen_ + 1))) {
      next_ = *found;
      lost_ = false;
      returned_ = true;
      run_ = 0;
    }
  }
}

// Where the reply's end stands in the prediction: near where it was left, ahead rather than behind;
// or the first place after it, or the first of all, that has more in common.
std::optional<size_t> PredictionCursor::Find(std::span<const TokenId> reply) const {
  if (reply.size() < kLeastReturn) return std::nullopt;
  const auto common = [&](size_t next) {
    return CommonEnd(reply, prediction_.first(next), kLeastMatch);
  };
  const size_t near_end = std::min(prediction_.size(), next_ + kNear);
  for (size_t next = next_; next <= near_end; ++next) {
    if (common(next) >= kLeastReturn) return next;
  }
  for (size_t next = near_end + 1; next <= prediction_.size(); ++next) {
    if (common(next) >= kLeastMatch) return next;
  }
  for (size_t next = 0; next < next_; ++next) {
    if (common(next) >= kLeastMatch) return next;
  }
  return std::nullopt;
}

std::span<const TokenId> PredictionCursor::Rest() const {
  if (lost_) return {};
  return prediction_.subspan(next_);
}

Guesses::Guesses(std::span<const TokenId> prediction)
    : records_{GuessRecord(kFirstTokens[0]), GuessRecord(kFirstTokens[1]),
               GuessRecord(kFirstTokens[2]), GuessRecord(kFirstTokens[3]),
               GuessRecord(kFirstTokens[4])},
      prediction_(prediction) {}

}  // namespace reprise
