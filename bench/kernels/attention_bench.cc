// Attention beside its yardsticks: for one row (decode) the reading of memory far larger than the
// caches, and of the same bytes of K and V, in order and block by block as they lie; for many rows
// (prefill) oneDNN's bf16 product. Elementwise operations beside the same work in plain C++.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/operations.h"
#include "measure.h"
#include "onednn.h"

namespace reprise::bench {
namespace {

using AttentionFunction = void (*)(const AttentionCall& call, AttentionScratch& scratch);

struct Heads {
  const char* model;
  int layers;
  int heads;
  int kv_heads;
  int head_dim;
};
// A quarter of the 8B model's layers, so that 8k tokens fit beside other things.
constexpr Heads kModels[] = {{"135M", 30, 9, 3, 64}, {"1B", 16, 32, 8, 64}, {"8B", 8, 32, 8, 128}};

// One step of a sequence of `context` tokens of which the last `rows` are computed: all layers, so
// that caches hold no more of K and V than they would in use.
class Step {
 public:
  Step(const Heads& model, int context, int rows)
      : model_(model),
        layout_{model.layers, model.kv_heads,   model.head_dim, model.head_dim,
                32,           KvEncoding::kFast},
        context_(context),
        rows_(rows),
        out_(static_cast<size_t>(rows * model.heads * model.head_dim)) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < out_.size(); ++i) q_.push_back(normal(random));
    const size_t count = static_cast<size_t>(context / layout_.block_tokens);
    memory_ = HugeWords(count * layout_.block_bytes());
    // Four bf16 of either sign, between 1/8 and 1/4.
    for (uint64_t& word : memory_) word = 0x3E003E003E003E00U | (random() * 0x100000001U & kNoise);
    for (size_t i = 0; i < count; ++i) {
      blocks_.push_back(reinterpret_cast<std::byte*>(memory_.data()) + i * layout_.block_bytes());
    }
  }

  void Run(AttentionFunction attention) {
    const SequenceSpan span = {0, rows_, context_ - rows_, blocks_};
    for (int layer = 0; layer < model_.layers; ++layer) {
      attention({layout_, layer, q_.data(), spec(), {&span, 1}, out_.data()}, scratch_);
    }
  }

  // `count` sequences on the same blocks, one row each, at one position: in one call, or one each.
  void RunSequences(AttentionFunction attention, int count, bool together) {
    std::vector<SequenceSpan> spans;
    for (int i = 0; i < count; ++i) spans.push_back({i, 1, context_ - 1, blocks_});
    for (int layer = 0; layer < model_.layers; ++layer) {
      for (int i = 0; i < (together ? 1 : count); ++i) {
        const std::span<const SequenceSpan> batch =
            together ? std::span(spans) : std::span(spans).first(1);
        attention({layout_, layer, q_.data(), spec(), batch, out_.data()}, scratch_);
      }
    }
  }

  void ReadInOrder() {
    uint64_t total = 0;
    const auto count = static_cast<int64_t>(memory_.size());
#pragma omp parallel for schedule(static) num_threads(Threads()) reduction(+ : total)
    for (int64_t i = 0; i < count; i += 8) total += ReadLine(memory_.data() + i);
    benchmark::DoNotOptimize(total);
  }

  // As many bytes as K and V of one head at a time, over all blocks.
  void ReadByBlocks() {
    uint64_t total = 0;
    const size_t piece_bytes = layout_.layer_bytes() / static_cast<size_t>(layout_.kv_heads);
    const auto pieces = static_cast<int64_t>(layout_.block_bytes() / piece_bytes);
#pragma omp parallel for schedule(static) num_threads(Threads()) reduction(+ : total)
    for (int64_t piece = 0; piece < pieces; ++piece) {
      for (const std::byte* block : blocks_) {
        const auto* words =
            reinterpret_cast<const uint64_t*>(block + static_cast<size_t>(piece) * piece_bytes);
        for (size_t i = 0; i < piece_bytes / 8; i += 8) total += ReadLine(words + i);
      }
    }
    benchmark::DoNotOptimize(total);
  }

  double bytes() const { return static_cast<double>(memory_.size() * sizeof(uint64_t)); }
  double flop() const {
    const double keys = context_ - 0.5 * (rows_ - 1);  // that a row sees, on average
    return 4.0 * keys * rows_ * model_.heads * model_.head_dim * model_.layers;
  }

 private:
  AttentionSpec spec() const { return {.heads = model_.heads, .scale = 0.125F}; }
  static constexpr uint64_t kNoise = 0x807F807F807F807FU;

  static uint64_t ReadLine(const uint64_t* at) {
    return at[0] + at[1] + at[2] + at[3] + at[4] + at[5] + at[6] + at[7];
  }

  Heads model_;
  KvLayout layout_;
  int context_;
  int rows_;
  std::vector<float> q_;
  std::vector<float> out_;
  HugeWords memory_;
  std::vector<std::byte*> blocks_;
  AttentionScratch scratch_{Pool()};
};

void Decode(benchmark::State& state, AttentionFunction attention, const Heads& model, int context) {
  Step step(model, context, 1);
  MemoryRead memory;
  TakeTurns(state, step.bytes(),
            {{"GBs", [&] { step.Run(attention); }},
             {"by_blocks", [&] { step.ReadByBlocks(); }},
             {"in_order", [&] { step.ReadInOrder(); }},
             {"memory", [&] { memory.Run(); }}});
  ScaleContender(state, "memory", memory.bytes() / step.bytes());
}

// Sixteen sequences that decode behind one prefix, beside the same sixteen one by one: how much it
// gains that what they share is read once.
void DecodeShared(benchmark::State& state, AttentionFunction attention, const Heads& model,
                  int context) {
  constexpr int kSequences = 16;
  Step step(model, context, kSequences);
  TakeTurns(state, kSequences * step.bytes(),
            {{"GBs", [&] { step.RunSequences(attention, kSequences, true); }},
             {"one_by_one", [&] { step.RunSequences(attention, kSequences, false); }}});
}

void Prefill(benchmark::State& state, AttentionFunction attention, const Heads& model,
             int context) {
  Step step(model, context, 512);
  OnednnProduct product(OnednnType::kBf16, 512, 2048, 2048);
  const double product_flop = 2.0 * 512 * 2048 * 2048;
  const int products = static_cast<int>(step.flop() / product_flop) + 1;
  TakeTurns(state, step.flop(),
            {{"GFLOPs", [&] { step.Run(attention); }}, {"onednn_bf16", [&] {
                                                          for (int i = 0; i < products; ++i)
                                                            product.Run();
                                                        }}});
  ScaleContender(state, "onednn_bf16", products * product_flop / step.flop());
}

// The default model's elementwise work on `rows` rows, one layer of it.
class Rows {
 public:
  explicit Rows(int rows)
      : rows_(rows),
        x_(static_cast<size_t>(rows) * 576, 0.5F),
        y_(x_.size(), 0.0F),
        weight_(576, 1.0F),
        gate_(static_cast<size_t>(rows) * 1536, 0.5F),
        up_(gate_.size(), 1.0F) {
    table_.inverse_frequencies.assign(32, 0.1F);
    for (int i = 0; i < rows; ++i) positions_.push_back(i);
  }

  void Norm(const ElementwiseKernels& kernels) {
    reprise::RmsNorm(Pool(), kernels, x_.data(), rows_, 576, weight_.data(), 1e-5F, x_.data());
  }
  void Rope(const ElementwiseKernels& kernels) {
    reprise::Rope(Pool(), kernels, x_.data(), rows_, 9, 64, cache_.Lookup(table_, positions_));
  }
  void SwiGlu(const ElementwiseKernels& kernels) {  // on one thread: products fork it
    kernels.activate_gated(Activation::kSilu, gate_.data(), up_.data(),
                           static_cast<int64_t>(gate_.size()));
  }
  void Add(const ElementwiseKernels& kernels) {
    reprise::Add(Pool(), kernels, x_.data(), y_.data(), x_.size());
  }

 private:
  int rows_;
  std::vector<float> x_;
  std::vector<float> y_;
  std::vector<float> weight_;
  std::vector<float> gate_;
  std::vector<float> up_;
  RopeTable table_;
  std::vector<int> positions_;
  RopeCache cache_;
};

// Calls of one row are too short for the clock: a thousand at a time.
void MeasureRows(benchmark::State& state, const ElementwiseKernels& kernels, int rows,
                 void (Rows::*run)(const ElementwiseKernels&)) {
  Rows work(rows);
  const int calls = rows == 1 ? 1000 : 1;
  const auto repeat = [&](const ElementwiseKernels& which) {
    for (int i = 0; i < calls; ++i) (work.*run)(which);
  };
  TakeTurns(state, 1.0 * calls * rows,
            {{"Grows", [&] { repeat(kernels); }}, {"plain", [&] { repeat(plain::kElementwise); }}});
}

void Register(const std::string& isa, AttentionFunction attention,
              const ElementwiseKernels& kernels) {
  for (const Heads& model : kModels) {
    for (const int context : {512, 2048, 8192}) {
      const std::string name = std::string(model.model) + "/" + isa + "/" + std::to_string(context);
      benchmark::RegisterBenchmark(
          ("attention/decode/" + name).c_str(),
          [=](benchmark::State& state) { Decode(state, attention, model, context); })
          ->UseManualTime()
          ->Iterations(9);
      benchmark::RegisterBenchmark(
          ("attention/shared16/" + name).c_str(),
          [=](benchmark::State& state) { DecodeShared(state, attention, model, context); })
          ->UseManualTime()
          ->Iterations(5);
      benchmark::RegisterBenchmark(
          ("attention/prefill512/" + name).c_str(),
          [=](benchmark::State& state) { Prefill(state, attention, model, context); })
          ->UseManualTime()
          ->Iterations(3);
    }
  }
  const struct {
    const char* name;
    void (Rows::*run)(const ElementwiseKernels&);
  } operations[] = {
      {"norm", &Rows::Norm}, {"rope", &Rows::Rope}, {"swiglu", &Rows::SwiGlu}, {"add", &Rows::Add}};
  for (const auto& operation : operations) {
    for (const int rows : {1, 1024}) {
      benchmark::RegisterBenchmark(
          (std::string("elementwise/") + operation.name + "/" + isa + "/" + std::to_string(rows))
              .c_str(),
          [=](benchmark::State& state) { MeasureRows(state, kernels, rows, operation.run); })
          ->UseManualTime();
    }
  }
}

// Names: attention/{decode,prefill512}/<model>/<isa>/<context>,
// elementwise/<operation>/<isa>/<rows>.
const bool kRegistered = [] {
  Register("plain", plain::Attention, plain::kElementwise);
  if (DetectIsa() >= Isa::kAvx2) {
    Register("avx2", avx2::Attention, avx2::kElementwise);
  }
  if (DetectIsa() >= Isa::kAvx512) {
    Register("avx512", avx512::Attention, avx512::kElementwise);
  }
  if (CpuOffers(Isa::kAmx)) Register("amx", amx::Attention, avx512::kElementwise);
  return true;
}();

}  // namespace
}  // namespace reprise::bench
