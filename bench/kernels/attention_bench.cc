// Attention and the elementwise operations beside what the machine can do: memory read at once by
// all threads (the yardstick of decode), and 64 flop a cycle of vdpbf16ps (that of prefill; the
// clock is what the machine gives). Run with --benchmark_repetitions=5 and compare within one run.

#include <benchmark/benchmark.h>
#include <omp.h>

#include <cstring>
#include <random>
#include <vector>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/operations.h"

namespace reprise {
namespace {

using AttentionFunction = void (*)(const AttentionCall& call, AttentionScratch& scratch);

struct Model {
  int layers;
  int heads;
  int kv_heads;
  int head_dim;
};
constexpr Model kSmall = {30, 9, 3, 64};    // SmolLM2-135M
constexpr Model kMedium = {16, 32, 8, 64};  // Llama-3.2-1B
constexpr Model kLarge = {8, 32, 8, 128};   // a quarter of Llama-3.1-8B's layers

// K and V of one sequence in all layers, so that caches hold no more of them than they would in
// use.
struct Cache {
  Cache(const Model& model, int tokens, int block_tokens) {
    layout = {model.layers, model.kv_heads, model.head_dim, block_tokens, KvElement::kBf16};
    const size_t count = static_cast<size_t>((tokens + block_tokens - 1) / block_tokens);
    memory.resize(count * layout.block_bytes() / 2);
    std::mt19937 random(1);
    for (uint16_t& value : memory) value = static_cast<uint16_t>(0x3E00 | (random() & 0x80FF));
    for (size_t i = 0; i < count; ++i) {
      blocks.push_back(reinterpret_cast<std::byte*>(memory.data()) + i * layout.block_bytes());
    }
  }
  KvLayout layout;
  std::vector<uint16_t> memory;
  std::vector<std::byte*> blocks;
};

// One step of a sequence with `context` tokens of which the last `rows` are computed, all layers.
void Step(benchmark::State& state, AttentionFunction attention, const Model& model, int context,
          int rows) {
  const Cache cache(model, context, 32);
  const size_t row = static_cast<size_t>(model.heads * model.head_dim);
  std::vector<float> q(static_cast<size_t>(rows) * row);
  std::vector<float> out(q.size());
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (float& value : q) value = normal(random);
  const SequenceSpan span = {0, rows, context - rows, cache.blocks};
  AttentionScratch scratch;
  for (auto _ : state) {
    for (int layer = 0; layer < model.layers; ++layer) {
      const AttentionCall call = {cache.layout, layer,      q.data(),  model.heads,
                                  0.125F,       {&span, 1}, out.data()};
      attention(call, scratch);
    }
    benchmark::ClobberMemory();
  }
  const double keys = context - 0.5 * (rows - 1);  // seen by a row, on average
  const double pairs = keys * rows * model.heads * model.layers;
  state.counters["flop"] =
      benchmark::Counter(pairs * 4 * model.head_dim * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
  state.counters["bytes"] =
      benchmark::Counter(static_cast<double>(cache.layout.bytes_per_token()) * context *
                             static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}

void MemoryRead(benchmark::State& state) {
  const size_t words = (256U << 20) / 8;
  std::vector<uint64_t> memory(words, 1);
  for (auto _ : state) {
    uint64_t sum = 0;
#pragma omp parallel for reduction(+ : sum) schedule(static)
    for (size_t i = 0; i < words; ++i) sum += memory[i];
    benchmark::DoNotOptimize(sum);
  }
  state.counters["bytes"] =
      benchmark::Counter(static_cast<double>(words * 8) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}

void StoreChunk(benchmark::State& state) {
  const Cache cache(kSmall, 1024, 32);
  const std::vector<float> k(1024 * 192, 0.5F);
  const SequenceSpan span = {0, 1024, 0, cache.blocks};
  for (auto _ : state) {
    for (int layer = 0; layer < kSmall.layers; ++layer) {
      StoreKv(cache.layout, layer, k.data(), k.data(), {&span, 1});
    }
  }
}

void SwiGluRows(benchmark::State& state, decltype(&plain::SwiGlu) swiglu) {
  const size_t count = static_cast<size_t>(state.range(0)) * 1536;
  std::vector<float> gate(count, 0.5F);
  const std::vector<float> up(count, 1.001F);
  for (auto _ : state) swiglu(gate.data(), up.data(), count);
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
}

void NormRows(benchmark::State& state, decltype(&plain::RmsNorm) norm) {
  const int rows = static_cast<int>(state.range(0));
  std::vector<float> x(static_cast<size_t>(rows) * 576, 0.5F);
  const std::vector<float> weight(576, 1.0F);
  for (auto _ : state) norm(x.data(), rows, 576, weight.data(), 1e-5F, x.data());
  state.SetItemsProcessed(int64_t{rows} * 576 * state.iterations());
}

void RopeRows(benchmark::State& state, decltype(&plain::Rope) rope) {
  const int rows = static_cast<int>(state.range(0));
  std::vector<float> x(static_cast<size_t>(rows) * 576, 0.5F);
  RopeTable table;
  table.inverse_frequencies.assign(32, 0.1F);
  std::vector<int> positions;
  for (int i = 0; i < rows; ++i) positions.push_back(i);
  RopeCache cache;
  for (auto _ : state) rope(x.data(), rows, 9, 64, cache.Lookup(table, positions));
  state.SetItemsProcessed(int64_t{rows} * 576 * state.iterations());
}

void Register(const char* isa, AttentionFunction attention) {
  const struct {
    const char* name;
    Model model;
  } models[] = {{"small", kSmall}, {"medium", kMedium}, {"large", kLarge}};
  for (const auto& entry : models) {
    const Model model = entry.model;
    for (const int context : {512, 2048, 8192}) {
      for (const int rows : {1, 512}) {
        const std::string name = std::string(rows == 1 ? "Decode/" : "Prefill512/") + isa + "/" +
                                 entry.name + "/" + std::to_string(context);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          Step(state, attention, model, context, rows);
        })->UseRealTime();
      }
    }
  }
}

const bool registered = [] {
  benchmark::RegisterBenchmark("MemoryRead", MemoryRead)->UseRealTime();
  benchmark::RegisterBenchmark("StoreKv1024x30Layers", StoreChunk)->UseRealTime();
  Register("plain", plain::Attention);
  if (DetectIsa() >= Isa::kAvx2) Register("avx2", avx2::Attention);
  if (DetectIsa() >= Isa::kAvx512) {
    Register("avx512", avx512::Attention);
    benchmark::RegisterBenchmark("SwiGlu/avx512", SwiGluRows, avx512::SwiGlu)
        ->Arg(1)
        ->Arg(1024)
        ->UseRealTime();
    benchmark::RegisterBenchmark("RmsNorm/avx512", NormRows, avx512::RmsNorm)
        ->Arg(1)
        ->Arg(1024)
        ->UseRealTime();
    benchmark::RegisterBenchmark("Rope/avx512", RopeRows, avx512::Rope)
        ->Arg(1)
        ->Arg(1024)
        ->UseRealTime();
  }
  return true;
}();

}  // namespace
}  // namespace reprise
