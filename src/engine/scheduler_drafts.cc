// Which guesses are computed beside a step's rows. They only take what is there: no block is
// evicted and nobody set aside for one.

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/draft_plan.h"
#include "engine/scheduler.h"

namespace reprise {
namespace {

// Where prompts are being read beside streams, guesses get so much of their room.
constexpr size_t kShareBesidePrompts = 4;

// A match of so many tokens is more than a turn of phrase.
constexpr size_t kLongMatch = 8;

// Surer than this, it is not worth while to look for another guess.
constexpr double kSure = 0.7;

}  // namespace

// How many tokens may be guessed behind those of a stream: the last of a reply is never worth it.
size_t Scheduler::MostGuessed(const Sequence& sequence) const {
  if (!sequence.state.empty()) return 0;  // a state cannot be taken back
  size_t last = options_.longest_sequence;
  if (const auto most = sequence.request.max_tokens) {
    const auto left = static_cast<size_t>(std::max(*most - sequence.completion_tokens, 0));
    last = std::min(last, sequence.tokens.size() + left);
  }
  const size_t room = last > sequence.tokens.size() ? last - sequence.tokens.size() - 1 : 0;
  return std::min(room, limits::kMaxGuessedRows);
}

// The best guess at what follows, at most `most` tokens; its length and kind are in
// sequence.draft.
void Scheduler::Guess(Sequence& sequence, size_t most) {
  Sequence::Draft& draft = sequence.draft;
  draft.tokens.clear();
  if (most == 0) return;
  const std::span<const TokenId> tokens = sequence.tokens;
  Guesses& guesses = sequence.guesses;
  double best = 0;
  const auto offer = [&](GuessKind kind, auto&& take) {
    const double probability = guesses.record(kind).probability();
    if (probability <= best) return;
    best = probability;
    draft.kind = kind;
    draft.tokens.clear();
    take();
  };
  offer(GuessKind::kTree, [&] {
    if (sequence.publishes()) {
      draft.tokens = cache_->PeekBeyond(sequence.request.scope, tokens, sequence.lease, most);
    }
  });
  if (draft.tokens.empty()) best = 0;
  PredictionCursor& prediction = guesses.prediction();
  prediction.Follow(tokens.subspan(sequence.prompt_size()));
  if (const auto rest = prediction.Rest(); !rest.empty()) {
    offer(prediction.fresh() ? GuessKind::kFreshPrediction : GuessKind::kPrediction, [&] {
      const auto next = rest.first(std::min(most, rest.size()));
      draft.tokens.assign(next.begin(), next.end());
    });
  }
  if (best < kSure) {
    if (const auto earlier = FindEarlier(tokens)) {
      offer(earlier->length >= kLongMatch ? GuessKind::kLongNgram : GuessKind::kNgram, [&] {
        // Behind its own end a text goes on as it has since that place.
        for (size_t i = 0; i < most; ++i) {
          const size_t at = earlier->next + i;
          draft.tokens.push_back(at < tokens.size() ? tokens[at]
                                                    : draft.tokens[at - tokens.size()]);
        }
      });
    }
  }
  if (options_.ends_reply) {
    const auto end = std::ranges::find_if(draft.tokens, options_.ends_reply);
    draft.tokens.erase(end, draft.tokens.end());
  }
}

// Blocks for its guessed rows, as far as they are free; others keep one each to grow into. Returns
// for how many rows there are blocks.
size_t Scheduler::TakeFreeBlocks(Sequence& sequence, size_t rows) {
  while (sequence.tokens.size() + rows > sequence.blocks.size() * block_tokens_ &&
         pool_->free_blocks() > running_.size()) {
    const std::optional<BlockId> block = pool_->TryAllocate();
    if (!block) break;
    AddBlock(sequence, *block);
  }
  return std::min(rows, sequence.blocks.size() * block_tokens_ - sequence.tokens.size());
}

void Scheduler::PlanDrafts() {
  if (!options_.speculate || plan_.empty()) return;
  size_t rows = 0;
  std::vector<DraftCandidate> candidates;
  bool any = false;
  for (const Share& share : plan_) {
    Sequence& sequence = *share.sequence;
    rows += share.rows;
    Guess(sequence, share.wants_logits ? MostGuessed(sequence) : 0);
    const size_t most = sequence.draft.tokens.size();
    any |= most > 0;
    candidates.push_back(
        {most == 0 ? 0 : sequence.guesses.record(sequence.draft.kind).probability(), most});
  }
  if (!any) return;
  size_t room = std::min(limits::kMaxGuessedRows, options_.prefill_chunk_beside_decode);
  const bool beside_prompts =
      std::ranges::any_of(running_, [](const auto& s) { return s->prefilling(); });
  if (beside_prompts) room /= kShareBesidePrompts;
  double most_price = std::numeric_limits<double>::infinity();
  if (const auto seconds = price_.seconds(); seconds && plan_.size() > 1) {
    most_price = std::chrono::duration<double>(options_.stream_pause).count() / *seconds;
  }
  const std::vector<size_t> chosen = ChooseDrafts(candidates, rows, room, price_, most_price);
  for (size_t i = 0; i < plan_.size(); ++i) {
    Sequence& sequence = *plan_[i].sequence;
    if (candidates[i].most == 0) continue;
    if (chosen[i] == 0) sequence.guesses.record(sequence.draft.kind).Pass();
    plan_[i].guesses = TakeFreeBlocks(sequence, chosen[i]);
    sequence.draft.tokens.resize(plan_[i].guesses);
    plan_guesses_ += plan_[i].guesses;
  }
}

void Scheduler::Accept(Sequence& sequence, size_t guesses) {
  if (guesses == 0) return;
  sequence.computed += guesses;
  PublishFull(sequence);
}

}  // namespace reprise
