#include "kernels/weight_memory.h"

#include <algorithm>
#include <cstdlib>

#include "base/huge_pages.h"
#include "base/round_up.h"

namespace reprise {
namespace {

// What the last slab has too much is never touched, so it takes no memory.
constexpr size_t kSlabBytes = size_t{64} << 20;

}  // namespace

std::shared_ptr<uint8_t> WeightMemory::Take(size_t bytes) {
  bytes = RoundUp(bytes, 64);
  if (size_ - used_ < bytes) {
    size_ = std::max(kSlabBytes, RoundUp(bytes, kHugePageBytes));
    slab_.reset(static_cast<uint8_t*>(AllocateHugePages(size_)), std::free);
    used_ = 0;
  }
  std::shared_ptr<uint8_t> taken(slab_, slab_.get() + used_);
  used_ += bytes;
  return taken;
}

}  // namespace reprise
