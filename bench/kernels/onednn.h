#pragma once

// The yardstick: oneDNN's matrix product y[rows, outputs] = x[rows, inputs] · w, weights in the
// layout that oneDNN likes best.

#include <cstdint>
#include <memory>

namespace reprise::bench {

enum class OnednnType : uint8_t { kBf16, kInt8 };  // int8: u8 activations, s8 weights, s32 sums

class OnednnProduct {
 public:
  OnednnProduct(OnednnType type, int64_t rows, int64_t inputs, int64_t outputs);
  ~OnednnProduct();
  void Run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace reprise::bench
