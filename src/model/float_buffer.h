#pragma once

// Scratch memory of floats: aligned to 64 bytes (kernels lose half their speed on less), grows to
// the largest request and stays, contents not kept. Owned by one thread.

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "base/check.h"

namespace reprise {

class FloatBuffer {
 public:
  void Reserve(size_t count) {
    if (count <= count_) return;
    const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    data_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
    CHECK(data_ != nullptr, "scratch of the forward pass is small beside the weights");
    count_ = count;
  }
  float* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  size_t count_ = 0;
};

}  // namespace reprise
