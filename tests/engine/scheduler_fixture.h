#pragma once

// The scheduler without a model: a "forward pass" that writes, into each row's place in its block,
// a checksum of all tokens up to that row, and that checks every earlier row it could read. So a
// block that was shared, copied, swapped, evicted or given back wrongly is seen at once. With
// states it folds the rows' tokens into the sequence's state, after checking that this is the fold
// of all tokens before.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/scheduler.h"

namespace reprise {

inline constexpr size_t kBlockTokens = 4;
inline constexpr size_t kBlockBytes = 64;
inline constexpr size_t kStateBytes = 200;

class SchedulerTest : public testing::Test {
 protected:
  struct States {
    size_t count = 0;  // 0: a model without
    size_t working = 0;
    size_t pinned = 0;
  };

  void MakePool(size_t blocks,
                Scheduler::Options options = {.prefill_chunk = 8, .prefill_chunk_beside_decode = 3},
                size_t pin_blocks = 0) {
    MakePool(blocks, options, pin_blocks, States());
  }
  void MakePool(size_t blocks, Scheduler::Options options, size_t pin_blocks, States states) {
    scheduler_.reset();
    cache_.reset();
    pool_ = BlockPool::Create(blocks, kBlockBytes).value();
    states_.reset();
    if (states.count > 0) states_ = BlockPool::Create(states.count, kStateBytes).value();
    cache_ = std::make_unique<PrefixCache>(
        pool_.get(), &clock_,
        PrefixCache::Options{.block_tokens = static_cast<int>(kBlockTokens),
                             .pin_blocks = pin_blocks,
                             .states = states_.get(),
                             .working_states = states.working,
                             .pin_snapshots = states.pinned});
    scheduler_ = std::make_unique<Scheduler>(pool_.get(), cache_.get(), &ends_, &clock_, options);
  }

  // Enqueues; the reply will be `reply` more tokens, each a function of all tokens before it.
  SequenceId Ask(std::vector<TokenId> prompt, int reply, std::string scope = "a",
                 CacheUse use = CacheUse::kReadAndPublish, Priority priority = Priority::kNormal,
                 std::vector<Breakpoint> breakpoints = {}) {
    GenerationRequest request;
    request.scope = std::move(scope);
    request.prompt = std::move(prompt);
    request.max_tokens = reply;
    request.cache = use;
    request.priority = priority;
    request.breakpoints = std::move(breakpoints);
    const SequenceId id{next_id_++};
    scheduler_->Enqueue(std::make_unique<Sequence>(
        id, std::move(request), [](Event&&) {}, clock_.Now()));
    return id;
  }
  // A random prompt of up to `longest` tokens, mostly the same ones, with up to three marks.
  SequenceId AskMarked(std::mt19937& random, size_t longest) {
    const auto upto = [&](size_t n) { return static_cast<size_t>(random() % n); };
    std::vector<TokenId> prompt(1 + upto(longest));
    for (TokenId& token : prompt) token = static_cast<TokenId>(upto(8) == 0);
    const int reply = static_cast<int>(upto(9));
    std::vector<Breakpoint> breakpoints(upto(4));
    for (Breakpoint& breakpoint : breakpoints) {
      breakpoint = {1 + upto(prompt.size()), std::chrono::minutes(1 + upto(20))};
    }
    std::ranges::sort(breakpoints, {}, &Breakpoint::tokens);
    return Ask(prompt, reply, upto(5) == 0 ? "b" : "a",
               upto(8) == 0 ? CacheUse::kNone : CacheUse::kReadAndPublish,
               reply == 0 ? Priority::kBackground : Priority::kNormal, breakpoints);
  }

  static uint64_t Checksum(std::span<const TokenId> tokens) {
    uint64_t sum = 17;
    for (TokenId token : tokens) sum = (sum ^ static_cast<uint64_t>(token + 1)) * 0x100000001B3ULL;
    return sum;
  }

  static std::byte* Row(const Sequence& sequence, size_t position) {
    return sequence.block_data.at(position / kBlockTokens) + position % kBlockTokens * 8;
  }

  // What the sequence reads must be what its own tokens would have put there.
  static void VerifyRows(const Sequence& sequence, size_t count) {
    const std::span<const TokenId> tokens = sequence.tokens;
    for (size_t position = 0; position < count; ++position) {
      uint64_t found = 0;
      std::memcpy(&found, Row(sequence, position), 8);
      ASSERT_EQ(found, Checksum(tokens.first(position + 1)))
          << "sequence " << sequence.id.value << " reads a foreign row at " << position;
    }
  }

  // All of its bytes stand for these tokens; zeros for none.
  static std::vector<std::byte> StateOf(std::span<const TokenId> tokens) {
    std::vector<std::byte> state(kStateBytes);
    if (tokens.empty()) return state;
    for (size_t i = 0; i < state.size(); i += 8) {
      const uint64_t word = Checksum(tokens) * (i + 1);
      std::memcpy(&state[i], &word, 8);
    }
    return state;
  }
  void FoldRows(Sequence& sequence, size_t rows) {
    const std::span<const TokenId> tokens = sequence.tokens;
    ASSERT_FALSE(sequence.state.empty());
    const auto before = StateOf(tokens.first(sequence.computed));
    ASSERT_EQ(std::memcmp(sequence.state.data(), before.data(), kStateBytes), 0)
        << "sequence " << sequence.id.value << " has a foreign state at " << sequence.computed;
    const auto after = StateOf(tokens.first(sequence.computed + rows));
    std::memcpy(sequence.state.data(), after.data(), kStateBytes);
  }

  // One step; false when there was nothing to do.
  bool Step() {
    scheduler_->Admit([this](Sequence& s) {
      cached_[s.id] = s.cached_tokens;
      outcomes_[s.id] = s.breakpoints;
    });
    Collect(scheduler_->Satisfied());
    const auto plan = scheduler_->Plan();
    for (const Scheduler::Share& share : plan) {
      Sequence& s = *share.sequence;
      VerifyRows(s, s.computed);
      if (states_ != nullptr) FoldRows(s, share.rows);
      rows_of_step_ += share.rows;
      std::vector<TokenId> guessed = s.tokens;
      if (share.guesses > 0) {
        EXPECT_EQ(share.rows, s.uncomputed());
        guessed.insert(guessed.end(), s.draft.tokens.begin(), s.draft.tokens.end());
        EXPECT_EQ(guessed.size(), s.tokens.size() + share.guesses);
      }
      for (size_t position = s.computed; position < s.computed + share.rows + share.guesses;
           ++position) {
        const uint64_t sum = Checksum(std::span<const TokenId>(guessed).first(position + 1));
        std::memcpy(Row(s, position), &sum, 8);
        if (position < s.prompt_size()) ++prompt_rows_[s.id];
      }
    }
    scheduler_->Advance();
    std::vector<SequenceId> ended;
    for (const Scheduler::Share& share : plan) {
      if (!share.wants_logits) continue;
      Sequence& s = *share.sequence;
      for (size_t i = 0; i <= share.guesses; ++i) {
        s.tokens.push_back(static_cast<TokenId>(Checksum(s.tokens) % 3));
        if (++s.completion_tokens >= *s.request.max_tokens) {
          ended.push_back(s.id);
          break;
        }
        if (i == share.guesses || s.tokens.back() != s.draft.tokens[i]) break;
        scheduler_->Accept(s, 1);
        ++accepted_;
      }
    }
    Collect(ended);
    Collect(scheduler_->Satisfied());
    cache_->Check();
    return !plan.empty();
  }

  void Collect(const std::vector<SequenceId>& ids) {
    for (SequenceId id : ids) {
      auto sequence = scheduler_->Remove(id);
      ASSERT_NE(sequence, nullptr);
      replies_[id] = {
          sequence->tokens.begin() + static_cast<std::ptrdiff_t>(sequence->prompt_size()),
          sequence->tokens.end()};
      EXPECT_EQ(sequence->breakpoints, outcomes_[id]) << "usage is the same at the end";
      if (ended_) ended_(*sequence);
    }
  }

  void RunUntilIdle() {
    for (int steps = 0; !scheduler_->idle(); ++steps) {
      ASSERT_LT(steps, 100'000) << "no progress";
      Step();
    }
  }

  void ExpectNothingHeld() {
    EXPECT_EQ(cache_->sizes().private_blocks, 0U);
    EXPECT_EQ(cache_->sizes().leased_blocks, 0U);
    EXPECT_EQ(cache_->sizes().reserved_blocks, 0U);
    EXPECT_EQ(cache_->sizes().reserved_snapshots, 0U);
    EXPECT_EQ(cache_->sizes().working_states, 0U);
    cache_->Flush();
    EXPECT_EQ(cache_->sizes().free_blocks, pool_->block_count());
    EXPECT_EQ(cache_->sizes().snapshots, 0U);
  }

  static std::vector<TokenId> Count(TokenId from, size_t length) {
    std::vector<TokenId> tokens(length);
    for (size_t i = 0; i < length; ++i) tokens[i] = from + static_cast<TokenId>(i);
    return tokens;
  }

  ManualClock clock_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<BlockPool> states_;
  std::unique_ptr<PrefixCache> cache_;
  PromptEnds ends_{0};  // remembers nothing
  std::unique_ptr<Scheduler> scheduler_;
  uint64_t next_id_ = 1;
  std::map<SequenceId, size_t> cached_;  // read at admission
  std::map<SequenceId, std::vector<BreakpointOutcome>> outcomes_;
  std::function<void(const Sequence&)> ended_;  // for each that comes to its own end
  std::map<SequenceId, size_t> prompt_rows_;    // prompt rows computed
  std::map<SequenceId, std::vector<TokenId>> replies_;
  size_t rows_of_step_ = 0;
  size_t accepted_ = 0;  // guesses
};

}  // namespace reprise
