#include "cache/block_pool.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <string>

#include "base/check.h"
#include "base/round_up.h"
#include "base/sanitizers.h"

// In sanitised builds the payload of a free block is poisoned: a reader without a reference is
// caught.
#if REPRISE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) (static_cast<void>(0))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) (static_cast<void>(0))
#endif

namespace reprise {

Result<std::unique_ptr<BlockPool>> BlockPool::Create(size_t block_count, size_t block_bytes) {
  constexpr size_t kMaxBytes = std::numeric_limits<size_t>::max() / 4;
  if (block_count == 0 || block_bytes == 0)
    return Fail(ErrorCode::kInvalidArgument, "The cache needs room for at least one block.");
  if (block_count > std::numeric_limits<uint32_t>::max() || block_bytes > kMaxBytes ||
      RoundUp(block_bytes, kAlignment) > kMaxBytes / block_count)
    return Fail(ErrorCode::kInvalidArgument, "The cache is larger than can be addressed.");

  const size_t arena_bytes = block_count * RoundUp(block_bytes, kAlignment);
  void* arena = mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena == MAP_FAILED)
    return Fail(ErrorCode::kIo, "The system refuses " + std::to_string(arena_bytes) +
                                    " bytes for the cache: " + std::strerror(errno) + ".");
  madvise(arena, arena_bytes, MADV_HUGEPAGE);  // advice: a refusal costs speed only
  return std::unique_ptr<BlockPool>(
      new BlockPool(static_cast<std::byte*>(arena), block_count, block_bytes));
}

BlockPool::BlockPool(std::byte* arena, size_t block_count, size_t block_bytes)
    : arena_(arena),
      block_count_(block_count),
      block_bytes_(block_bytes),
      stride_bytes_(RoundUp(block_bytes, kAlignment)),
      references_(block_count, 0) {}

BlockPool::~BlockPool() {
  ASAN_UNPOISON_MEMORY_REGION(arena_, first_unused_ * stride_bytes_);
  munmap(arena_, block_count_ * stride_bytes_);
}

std::optional<BlockId> BlockPool::TryAllocate(Payload wanted) {
  BlockId block;
  if (!freed_.empty()) {
    block.value = freed_.back();
    freed_.pop_back();
    std::byte* payload = arena_ + block.value * stride_bytes_;
    ASAN_UNPOISON_MEMORY_REGION(payload, stride_bytes_);
    if (wanted == Payload::kZeroed) std::memset(payload, 0, block_bytes_);
  } else if (first_unused_ < block_count_) {
    block.value = static_cast<uint32_t>(first_unused_++);
  } else {
    return std::nullopt;
  }
  references_[block.value] = 1;
  return block;
}

void BlockPool::Reference(BlockId block) {
  CHECK(references(block) > 0, "only a referenced block gains references");
  ++references_[block.value];
}

void BlockPool::Release(BlockId block) {
  CHECK(references(block) > 0, "a block is released once for each reference");
  if (--references_[block.value] > 0) return;
  freed_.push_back(block.value);
  ASAN_POISON_MEMORY_REGION(arena_ + block.value * stride_bytes_, stride_bytes_);
}

std::byte* BlockPool::data(BlockId block) {
  CHECK(references(block) > 0, "only a referenced block's payload is used");
  return arena_ + block.value * stride_bytes_;
}

void BlockPool::Copy(BlockId from, BlockId to) {
  CHECK(from != to, "a block is copied into another one");
  std::memcpy(data(to), data(from), block_bytes_);
}

uint32_t BlockPool::references(BlockId block) const {
  CHECK(block.value < block_count_, "a block id is an index into the pool");
  return references_[block.value];
}

}  // namespace reprise
