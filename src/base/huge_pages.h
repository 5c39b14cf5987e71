#pragma once

// Memory on huge pages, where the system gives them to who asks: what is reached here and there in
// a large piece is found without a walk through the tables of pages each time. Any thread.

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/round_up.h"

namespace reprise {

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// Not initialized; freed by std::free. Throws std::bad_alloc. REQUIRES: a multiple of
// kHugePageBytes.
void* AllocateHugePages(size_t bytes);

// For containers of the standard library. Small pieces are allocated as usual.
template <typename T>
struct HugePageAllocator {
  using value_type = T;

  HugePageAllocator() = default;
  template <typename Other>
  HugePageAllocator(const HugePageAllocator<Other>& /*other*/) {}  // NOLINT: as containers convert

  T* allocate(size_t count) {
    if (count * sizeof(T) < kHugePageBytes) return std::allocator<T>().allocate(count);
    return static_cast<T*>(AllocateHugePages(RoundUp(count * sizeof(T), kHugePageBytes)));
  }
  void deallocate(T* piece, size_t count) {
    if (count * sizeof(T) < kHugePageBytes) return std::allocator<T>().deallocate(piece, count);
    std::free(piece);
  }

  bool operator==(const HugePageAllocator& /*other*/) const { return true; }
};

}  // namespace reprise
