#pragma once

// Attention over block tables, and the storing of K and V into blocks; one implementation per
// instruction set (KvEncoding::kFast) and one in plain f32 (exact, KvEncoding::kExact).
// operations.cc puts them behind class Operations. The causal mask and a sliding window; no other
// masks.
//
// EXACTNESS. Keys are walked in partitions of kPartitionTokens counted from position 0. Within a
// partition: all scores of a query row, their maximum, exp, their sum in a fixed order of lanes,
// and the weighted sum of V in ascending order of keys; partitions are combined in ascending order.
// Keys beyond a row's position and before its window get the probability 0 exactly and add exactly
// nothing; partitions without a key that it sees are passed over. So a row's output depends only on
// its q and on K and V of the positions that it sees: not on the rows beside it, nor on the number
// of threads, nor on which of the two schedules below was taken.
//
// The work is that of the keys seen: with a window, of its length rather than of the context.
//
// Work is shared among the threads of AttentionScratch::pool(). Tiles of query rows by KV head
// are the work items; where these are too few for the threads (decode of few sequences), each
// partition is an item of its own, and who ends last combines.
//
// One caller at a time per AttentionScratch.

#include <cstddef>
#include <span>

#include "kernels/kv_layout.h"
#include "kernels/operations.h"
#include "kernels/thread_pool.h"

namespace reprise {

// Keys of one partition, a multiple of every block_tokens. 512 keys x head_dim 64 are 34 KiB of K
// and 64 of V: both stay in a core's L2 while a tile of query rows passes over them. (Measured with
// K in 16 bits, 256 lost 3 to 8 %, 1024 gained nothing and left the threads less to share.)
inline constexpr int kPartitionTokens = 512;

// Threads and memory that calls reuse; the latter grows to the largest call, never shrinks, 64-byte
// aligned.
class AttentionScratch {
 public:
  explicit AttentionScratch(ThreadPool& pool) : pool_(pool) {}
  ~AttentionScratch();
  AttentionScratch(const AttentionScratch&) = delete;
  AttentionScratch& operator=(const AttentionScratch&) = delete;

  // At least `bytes`; contents are not kept.
  std::byte* Reserve(size_t bytes);
  ThreadPool& pool() { return pool_; }

 private:
  ThreadPool& pool_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// The parameters of Operations::Attention.
// REQUIRES: layout.block_tokens 16, 32, 64, 128, 256 or 512; key_dim even and at most
// limits::kMaxHeadDimension; heads a multiple of kv_heads; scale above 0; window and soft_cap not
// below; sinks finite.
struct AttentionCall {
  const KvLayout& layout;
  int layer;
  const float* q;  // [rows, heads, key_dim]
  const AttentionSpec& spec;
  std::span<const SequenceSpan> sequences;
  float* out;  // [rows, heads, value_dim]
};

// CapScores: scores[i] = cap · tanh(scale · scores[i] / cap), with tanh within 4 ulp, each element
// by itself; `count` a multiple of 16. The very function inside Attention, shown for its test.
// By tiles (tiles.h), in hardware and emulated: the same bits, and those of no other set. Their
// CapScores is avx512's.
namespace amx {
void Attention(const AttentionCall& call, AttentionScratch& scratch);
void EmulatedAttention(const AttentionCall& call, AttentionScratch& scratch);
}  // namespace amx
namespace avx512 {
void Attention(const AttentionCall& call, AttentionScratch& scratch);
void CapScores(float* scores, int count, float scale, float cap);
}  // namespace avx512
namespace avx2 {
void Attention(const AttentionCall& call, AttentionScratch& scratch);
void CapScores(float* scores, int count, float scale, float cap);
}  // namespace avx2
// With AVX-VNNI beside AVX2; the bits of avx2.
namespace avx_vnni {
void Attention(const AttentionCall& call, AttentionScratch& scratch);
}
namespace plain {
void Attention(const AttentionCall& call, AttentionScratch& scratch);
void CapScores(float* scores, int count, float scale, float cap);  // exact's too
}  // namespace plain
// K and V in f32; q and the probabilities are not rounded.
namespace exact {
void Attention(const AttentionCall& call, AttentionScratch& scratch);
}

// Operations::StoreKv, for all instruction sets and both KvEncodings. Fast: K as quantize_head.h
// says; V to bf16, to nearest, ties to even; NaN stays NaN.
void StoreKv(ThreadPool& pool, const KvLayout& layout, int layer, const float* k, const float* v,
             std::span<const SequenceSpan> sequences);

}  // namespace reprise
