#pragma once

// Blocks of K and V for one sequence of a test, filled with finite noise before their use: what a
// block held before must not matter. And the state of its recurrent layers, zeros.

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <vector>

#include "kernels/kv_layout.h"
#include "model/model.h"

namespace reprise {

class TestSequence {
 public:
  // Room for `tokens` positions.
  TestSequence(const Model& model, int tokens, uint64_t noise_seed = 1)
      : state_(model.state_bytes()) {
    const KvLayout& layout = model.kv_layout();
    std::mt19937_64 random(noise_seed);
    for (int position = 0; position < tokens; position += layout.block_tokens) {
      auto* block = static_cast<std::byte*>(operator new(layout.block_bytes(), kAlignment));
      blocks_.emplace_back(block);
      addresses_.push_back(block);
      FillWithNoise(layout, block, random);
    }
  }

  std::span<std::byte* const> blocks() const { return addresses_; }
  std::byte* state() const { return state_.data(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::byte* block) const { operator delete(block, kAlignment); }
  };

  // The upper half of an f32 is a bf16: numbers of moderate size either way.
  static void FillWithNoise(const KvLayout& layout, std::byte* block, std::mt19937_64& random) {
    std::uniform_real_distribution<float> uniform(-4, 4);
    const size_t size = layout.encoding == KvEncoding::kFast ? 2 : 4;
    for (size_t offset = 0; offset < layout.block_bytes(); offset += size) {
      const float value = uniform(random);
      std::memcpy(block + offset, reinterpret_cast<const std::byte*>(&value) + (4 - size), size);
    }
  }

  std::vector<std::unique_ptr<std::byte, Free>> blocks_;
  std::vector<std::byte*> addresses_;
  mutable std::vector<std::byte> state_;  // of a model's forward pass, as the blocks' content
};

}  // namespace reprise
