#include "base/huge_pages.h"

#include <sys/mman.h>

namespace reprise {

void* AllocateHugePages(size_t bytes) {
  void* const piece = std::aligned_alloc(kHugePageBytes, bytes);
  if (piece == nullptr) throw std::bad_alloc();
  madvise(piece, bytes, MADV_HUGEPAGE);  // advice: a refusal costs speed only
  return piece;
}

}  // namespace reprise
