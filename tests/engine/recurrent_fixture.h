#pragma once

// The whole engine on a model with recurrent states.

#include <functional>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "engine/memory_plan.h"
#include "engine_fixture.h"
#include "recurrent_model.h"

namespace reprise {

struct Recurrent {
  size_t kv_bytes = 4 << 20;
  size_t state_words = 512;  // 4 KiB, as a block
  int layers_with_kv = 1;
  int chunk = 512;
  int chunk_beside = 128;
  int context = 0;
  // The stores below memory, for blocks of so many bytes and tokens; none: there are none.
  std::function<Variant::Tiers(size_t block_bytes, int block_tokens)> below = {};
};

class EngineStateTest : public EngineTest {
 protected:
  Result<std::unique_ptr<Engine>> TryStart(const Recurrent& setup) {
    engine_.reset();
    bytes_ = TinyModel{}.Make();
    const auto file = GgufFile::Parse(bytes_);
    auto tokenizer = Tokenizer::Create(ReadVocabulary(*file).value());
    auto model = std::make_unique<RecurrentModel>(setup.state_words, TinyModel::kVocabulary,
                                                  setup.layers_with_kv);
    EngineTiers below;
    below.patience = 20s;  // other work on the machine is no store that stands still
    if (setup.below) {
      below.tiers = setup.below(BlockBytes(model->kv_layout(), model->state_bytes()),
                                model->kv_layout().block_tokens);
    }
    return Engine::Start(std::move(model), std::move(*tokenizer), &clock_,
                         {.kv_bytes = setup.kv_bytes,
                          .pin_bytes = {},
                          .retention = 10min,
                          .context = setup.context,
                          .prefill_chunk = setup.chunk,
                          .prefill_chunk_beside_decode = setup.chunk_beside,
                          .checksum_logits = true},
                         std::move(below));
  }
  void StartRecurrent(const Recurrent& setup = Recurrent()) {
    auto engine = TryStart(setup);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  EngineStats Now() {
    std::promise<EngineSnapshot> promise;
    engine_->TakeSnapshot([&](EngineSnapshot snapshot) { promise.set_value(std::move(snapshot)); });
    return promise.get_future().get().total;
  }
  static std::vector<TokenId> Join(std::vector<TokenId> a, const std::vector<TokenId>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  static std::vector<TokenId> First(const std::vector<TokenId>& tokens, size_t count) {
    return {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count)};
  }
};

}  // namespace reprise
