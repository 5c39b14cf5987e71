#include "engine/draft_plan.h"

#include <algorithm>

namespace reprise {
namespace {

constexpr double kLeastShare = 0.8;

struct Stream {
  double next = 0;    // probability that one row more brings a token
  double tokens = 1;  // expected so far
  size_t rows = 0;
};

}  // namespace

std::vector<size_t> ChooseDrafts(std::span<const DraftCandidate> candidates, size_t rows,
                                 size_t room, const RowPrice& price, double most_price) {
  std::vector<Stream> streams(candidates.size());
  for (size_t i = 0; i < streams.size(); ++i) {
    if (candidates[i].most > 0) streams[i].next = candidates[i].probability;
  }
  std::vector<size_t> best(candidates.size(), 0);
  double tokens = static_cast<double>(candidates.size());
  const double without = price.Of(rows);
  double most_tokens_per_price = tokens / without;
  // The likeliest row first, each time; of all these steps the best is taken.
  for (size_t guessed = 1; guessed <= room; ++guessed) {
    const auto likeliest = std::ranges::max_element(streams, {}, &Stream::next);
    if (likeliest == streams.end() || likeliest->next <= 0) break;
    tokens += likeliest->next;
    likeliest->tokens += likeliest->next;
    const DraftCandidate& candidate = candidates[static_cast<size_t>(likeliest - streams.begin())];
    likeliest->next *= ++likeliest->rows < candidate.most ? candidate.probability : 0;
    const double with = price.Of(rows + guessed);
    if (with > most_price) break;
    const double least = std::ranges::min_element(streams, {}, &Stream::tokens)->tokens;
    if (tokens / with <= most_tokens_per_price || least / with < kLeastShare / without) continue;
    most_tokens_per_price = tokens / with;
    std::ranges::transform(streams, best.begin(), &Stream::rows);
  }
  return best;
}

}  // namespace reprise
