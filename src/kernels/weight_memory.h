#pragma once

// Memory for packed weights: slabs of huge pages that matrices share, in the order of packing. A
// step of one row reads every weight once, and through pages of 4 KiB two cores of a Zen 4 read 30
// GB/s, through huge ones 37.
//
// One caller at a time; what was taken may be given up on any thread.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace reprise {

class WeightMemory {
 public:
  // 64-byte aligned, contents unspecified; its slab lives as long as something taken from it. On
  // failure to allocate the process ends (as with new).
  std::shared_ptr<uint8_t> Take(size_t bytes);

 private:
  std::shared_ptr<uint8_t> slab_;
  size_t size_ = 0;
  size_t used_ = 0;
};

}  // namespace reprise
