// Products of many rows beside oneDNN's bf16 and int8 products, and of a few beside memory read;
// where there are tiles (AMX), also beside the same without them.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/operations.h"
#include "measure.h"
#include "onednn.h"

namespace reprise::bench {
namespace {

struct Shape {
  const char* model;
  int64_t inputs;
  int64_t outputs;
};

// What the default model (SmolLM2-135M) and Llamas of 1B and 8B multiply with.
constexpr Shape kShapes[] = {
    {"135M", 576, 576},   {"135M", 576, 192},  {"135M", 576, 1536}, {"135M", 1536, 576},
    {"135M", 576, 49152}, {"1B", 2048, 2048},  {"1B", 2048, 8192},  {"1B", 8192, 2048},
    {"8B", 4096, 4096},   {"8B", 4096, 14336}, {"8B", 14336, 4096},
};
constexpr WeightType kTypes[] = {WeightType::kQ4_1,   WeightType::kQ4_0,  WeightType::kQ5_0,
                                 WeightType::kQ8_0,   WeightType::kQ2_K,  WeightType::kQ3_K,
                                 WeightType::kQ4_K,   WeightType::kQ6_K,  WeightType::kIQ2_S,
                                 WeightType::kIQ4_XS, WeightType::kMXFP4, WeightType::kBf16};

// Bytes whose every 16 bits are a small f16, so that factors are finite wherever they lie.
std::vector<std::byte> SomeWeights(WeightType type, int64_t rows, int64_t columns) {
  const WeightBlock block = WeightBlockOf(static_cast<uint32_t>(type)).value();
  std::vector<std::byte> data(static_cast<size_t>(rows * columns / block.elements * block.bytes));
  std::mt19937 random(1);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random() & 0x3bu);
  return data;
}

std::vector<float> SomeRows(int64_t rows, int64_t columns) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows * columns));
  for (float& value : x) value = normal(random);
  return x;
}

class Product {
 public:
  Product(Isa isa, WeightType type, const Shape& shape, int rows, size_t copies)
      : operations_(MakeOperations(isa, Compute::kFast, Threads()).value()),
        rows_(rows),
        x_(SomeRows(rows, shape.inputs)),
        y_(static_cast<size_t>(rows * shape.outputs)) {
    const std::vector<std::byte> data = SomeWeights(type, shape.outputs, shape.inputs);
    for (size_t i = 0; i < copies; ++i) {
      matrices_.push_back(
          operations_->Pack({type, data.data(), shape.outputs, shape.inputs}).value());
    }
  }

  // Once with each copy.
  void Run() {
    float* const ys[] = {y_.data()};
    for (const auto& matrix : matrices_) {
      const Matrix* const ws[] = {matrix.get()};
      operations_->MatMul(x_.data(), rows_, ws, ys);
    }
  }

  size_t bytes() const { return matrices_.size() * matrices_[0]->bytes(); }

 private:
  std::unique_ptr<Operations> operations_;
  int rows_;
  std::vector<float> x_;
  std::vector<float> y_;
  std::vector<std::unique_ptr<Matrix>> matrices_;
};

// What is measured beside tiles: x_avx512.
std::optional<Product> WithoutTiles(WeightType type, const Shape& shape, int rows, size_t copies) {
  if (DetectIsa() != Isa::kAmx) return std::nullopt;
  return std::optional<Product>(std::in_place, Isa::kAvx512, type, shape, rows, copies);
}

void ManyRows(benchmark::State& state, WeightType type, const Shape& shape, int rows) {
  Product product(DetectIsa(), type, shape, rows, 1);
  std::optional<Product> without_tiles = WithoutTiles(type, shape, rows, 1);
  OnednnProduct bf16(OnednnType::kBf16, rows, shape.inputs, shape.outputs);
  OnednnProduct int8(OnednnType::kInt8, rows, shape.inputs, shape.outputs);
  const double work = 2.0 * rows * static_cast<double>(shape.inputs * shape.outputs);
  std::vector<Contender> contenders = {{"GOPs", [&] { product.Run(); }},
                                       {"onednn_bf16", [&] { bf16.Run(); }},
                                       {"onednn_int8", [&] { int8.Run(); }}};
  if (without_tiles) contenders.push_back({"avx512", [&] { without_tiles->Run(); }});
  TakeTurns(state, work, contenders);
}

// Enough copies of the matrix that none stays in a cache.
void FewRows(benchmark::State& state, WeightType type, const Shape& shape, int rows) {
  const double elements = static_cast<double>(shape.inputs * shape.outputs);
  const auto copies = static_cast<size_t>(512e6 / (elements * 0.6)) + 1;
  Product product(DetectIsa(), type, shape, rows, copies);
  std::optional<Product> without_tiles = WithoutTiles(type, shape, rows, copies);
  MemoryRead memory;
  const double bytes = static_cast<double>(product.bytes());
  const int passes = static_cast<int>(bytes / memory.bytes()) + 1;
  const auto read = [&] {
    for (int i = 0; i < passes; ++i) memory.Run();
  };
  std::vector<Contender> contenders = {{"GBs", [&] { product.Run(); }}, {"memory", read}};
  if (without_tiles) contenders.push_back({"avx512", [&] { without_tiles->Run(); }});
  TakeTurns(state, bytes, contenders);
  ScaleContender(state, "memory", passes * memory.bytes() / bytes);
}

// Names: product/<model>/<inputs>x<outputs>/<type>/rows:<n>, and decode/ of the same form.
const bool kRegistered = [] {
  for (const Shape& shape : kShapes) {
    for (WeightType type : kTypes) {
      const std::string name = std::string(shape.model) + "/" + std::to_string(shape.inputs) + "x" +
                               std::to_string(shape.outputs) + "/" +
                               std::string(WeightTypeName(type));
      // The output matrix multiplies one row of a sequence, never a whole prompt.
      const int many = shape.outputs > 40000 ? 16 : 512;
      if (shape.inputs % WeightBlockOf(static_cast<uint32_t>(type))->elements == 0) {
        benchmark::RegisterBenchmark(
            ("product/" + name + "/rows:" + std::to_string(many)).c_str(),
            [=](benchmark::State& state) { ManyRows(state, type, shape, many); })
            ->UseManualTime();
        for (int rows : {1, 2, 4, 8, 16}) {
          benchmark::RegisterBenchmark(
              ("decode/" + name + "/rows:" + std::to_string(rows)).c_str(),
              [=](benchmark::State& state) { FewRows(state, type, shape, rows); })
              ->UseManualTime()
              ->Iterations(5);
        }
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace reprise::bench
