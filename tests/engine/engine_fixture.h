#pragma once

// The whole engine on a tiny random model, and what collects a reply.

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "engine/vocabulary.h"
#include "model/gguf.h"
#include "tiny_model.h"

namespace reprise {

using namespace std::chrono_literals;

// Collects one request's events.
struct Reply {
  std::mutex mutex;
  std::condition_variable changed;
  StartedEvent started;
  std::string text;
  std::vector<TokenInfo> infos;
  FinishedEvent finished;
  std::optional<Error> failed;
  size_t text_events = 0;
  bool ended = false;

  void Take(Event&& event) {
    std::lock_guard lock(mutex);
    if (auto* s = std::get_if<StartedEvent>(&event)) started = *s;
    if (auto* t = std::get_if<TextEvent>(&event)) {
      text += t->text;
      infos.insert(infos.end(), t->tokens.begin(), t->tokens.end());
      ++text_events;
    }
    if (auto* f = std::get_if<FinishedEvent>(&event)) finished = std::move(*f), ended = true;
    if (auto* f = std::get_if<FailedEvent>(&event)) failed = f->error, ended = true;
    changed.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 60s, [this] { return ended; })) << "no end";
  }
  void WaitForText() {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 60s, [this] { return text_events > 0 || ended; }));
  }
};

struct Variant {
  Isa isa = DetectIsa();
  Compute compute = Compute::kFast;
  int threads = 1;
  size_t blocks = 64;
  int block_tokens = 32;
  int chunk = 512;
  int chunk_beside = 128;
  int context = 0;
  bool speculate = true;
  const Clock* clock = nullptr;  // nullptr: the system's
  std::optional<size_t> pin_blocks = {};
  size_t pin_blocks_per_tenant = 0;
  // The stores below memory, for blocks of so many bytes and tokens; none: there are none.
  using Tiers = std::vector<std::unique_ptr<BlockTier>>;
  std::function<Tiers(size_t block_bytes, int block_tokens)> below = {};
  Duration patience = EngineTiers{}.patience;  // with them
};

class EngineTest : public testing::Test {
 protected:
  void Start(const Variant& setup = {}) {
    engine_.reset();
    bytes_ = TinyModel{.kind = kind_}.Make();
    auto file = GgufFile::Parse(bytes_);
    ASSERT_TRUE(file) << file.error().message;
    auto tokenizer = Tokenizer::Create(ReadVocabulary(*file).value());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    auto model = Model::Load(*file, {.isa = setup.isa,
                                     .compute = setup.compute,
                                     .threads = setup.threads,
                                     .block_tokens = setup.block_tokens,
                                     .progress = {}});
    ASSERT_TRUE(model) << model.error().message;
    const size_t block_bytes = BlockBytes((*model)->kv_layout(), (*model)->state_bytes());
    std::optional<size_t> pin_bytes;
    if (setup.pin_blocks) pin_bytes = *setup.pin_blocks * block_bytes;
    const Clock* clock = setup.clock != nullptr ? setup.clock : &clock_;
    EngineTiers below = {.identity = (*model)->kv_identity({}), .patience = setup.patience};
    if (setup.below) below.tiers = setup.below(block_bytes, setup.block_tokens);
    auto engine = Engine::Start(std::move(*model), std::move(*tokenizer), clock,
                                {.kv_bytes = setup.blocks * block_bytes,
                                 .pin_bytes = pin_bytes,
                                 .pin_bytes_per_tenant = setup.pin_blocks_per_tenant * block_bytes,
                                 .retention = 10min,
                                 .context = setup.context,
                                 .prefill_chunk = setup.chunk,
                                 .prefill_chunk_beside_decode = setup.chunk_beside,
                                 .speculate = setup.speculate,
                                 .checksum_logits = true},
                                std::move(below));
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  static std::vector<TokenId> Prompt(size_t length, TokenId salt = 0) {
    std::vector<TokenId> tokens(length);
    for (size_t i = 0; i < length; ++i) {
      tokens[i] =
          3 + static_cast<TokenId>((i * i * 31 + i * 7 + static_cast<size_t>(salt) * 101) % 500);
    }
    return tokens;
  }

  static GenerationRequest Request(std::vector<TokenId> prompt, int max_tokens) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = max_tokens;
    request.sampling.temperature = 0;
    request.ignore_eos = true;
    return request;
  }

  std::shared_ptr<Reply> Ask(GenerationRequest request, SequenceId* id = nullptr) {
    auto reply = std::make_shared<Reply>();
    const SequenceId given =
        engine_->Submit(std::move(request), [reply](Event&& e) { reply->Take(std::move(e)); });
    if (id != nullptr) *id = given;
    return reply;
  }

  std::shared_ptr<Reply> AskAndWait(GenerationRequest request) {
    auto reply = Ask(std::move(request));
    reply->Wait();
    return reply;
  }

  void Flush() {
    auto reply = std::make_shared<Reply>();
    engine_->Flush([reply](const Result<size_t>&) { reply->Take(FinishedEvent{}); });
    reply->Wait();
  }

  // Counts that include the step whose end the last reply was.
  EngineStats SettledStats() {
    std::promise<EngineStats> settled;
    engine_->TakeSnapshot([&](EngineSnapshot snapshot) { settled.set_value(snapshot.total); });
    return settled.get_future().get();
  }

  uint64_t ColdChecksum(const GenerationRequest& request) {
    Flush();
    auto reply = AskAndWait(request);
    EXPECT_EQ(reply->started.cached_tokens, 0);
    return reply->finished.logits_checksum;
  }

  // Eight prompts one by one, then all of them three times over at once, some cancelled: each reply
  // that ends is the same. Returns the checksums of the eight.
  std::vector<uint64_t> ExpectManyAtOnceEndAsTheyDoAlone() {
    std::vector<uint64_t> cold;
    for (TokenId i = 0; i < 8; ++i) {
      cold.push_back(AskAndWait(Request(Prompt(200, i), 20))->finished.logits_checksum);
    }
    for (int round = 0; round < 3; ++round) {
      std::vector<std::shared_ptr<Reply>> replies;
      std::vector<SequenceId> ids(24);
      for (size_t i = 0; i < ids.size(); ++i) {
        replies.push_back(Ask(Request(Prompt(200, static_cast<TokenId>(i % 8)), 20), &ids[i]));
      }
      for (size_t i = 0; i < ids.size(); i += 5) engine_->Cancel(ids[i]);
      for (size_t i = 0; i < ids.size(); ++i) {
        replies[i]->Wait();
        if (!replies[i]->failed) {
          EXPECT_EQ(replies[i]->finished.logits_checksum, cold[i % 8]) << i;
        }
      }
    }
    return cold;
  }

  // Advances the clock, has the engine look at it and waits until so many promises are left.
  void Pass(Duration time, size_t promises) {
    manual_clock_.Advance(time);
    engine_->Wake();
    const TimePoint deadline = clock_.Now() + 60s;
    while (engine_->stats().cache.promises != promises && clock_.Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(engine_->stats().cache.promises, promises);
  }

  TinyKind kind_ = TinyKind::kDense;
  std::vector<std::byte> bytes_;
  SystemClock clock_;
  ManualClock manual_clock_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace reprise
