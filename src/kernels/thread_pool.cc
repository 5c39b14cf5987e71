#include "kernels/thread_pool.h"

#include <immintrin.h>

#include <chrono>

#include "base/check.h"

namespace reprise {
namespace {

using std::chrono::microseconds;

// How long a thread without work spins before it sleeps. The pauses within a step, in which the
// caller is alone at work, are shorter than the first; the pause for sampling and for sending is
// not.
constexpr microseconds kIdleSpin(40);
// And the caller, for items that others are at: a whole one takes as long as that when a prompt is
// read.
constexpr microseconds kEndSpin(100);

constexpr int kLooksPerTime = 16;  // between two looks at the clock

// Whether `done` came true meanwhile.
template <typename Done>
bool SpinFor(microseconds most, Done done) {
  const auto begin = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kLooksPerTime; ++i) {
      if (done()) return true;
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() - begin < most);
  return false;
}

constexpr uint64_t Word(uint32_t number, int64_t left) {
  return uint64_t{number} << 32 | static_cast<uint64_t>(left);
}
constexpr uint32_t LeftOf(uint64_t word) { return static_cast<uint32_t>(word); }

}  // namespace

ThreadPool::ThreadPool(int threads) : runs_(static_cast<size_t>(threads)) {
  CHECK(threads >= 1, "the caller is one");
  for (int thread = 1; thread < threads; ++thread) {
    workers_.emplace_back([this, thread] { Work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  number_.fetch_add(1, std::memory_order_release);
  number_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunJob(int64_t count, Deal deal, Job job) {
  if (count <= 1 || workers_.empty()) {
    for (int64_t item = 0; item < count; ++item) job.call(job.body, item, 0);
    return;
  }
  CHECK(count <= INT32_MAX, "items of a job are counted in 31 bits");
  job_ = job;
  Publish(count, deal);
  TakeItems(0);
  AwaitEnd();
}

void ThreadPool::Publish(int64_t count, Deal deal) {
  pending_.store(static_cast<int32_t>(count), std::memory_order_relaxed);
  const uint32_t number = number_.load(std::memory_order_relaxed) + 1;
  const auto shares = deal == Deal::kRuns ? static_cast<int64_t>(runs_.size()) : 1;
  for (int64_t share = 0; share < shares; ++share) {
    OwnRun& run = runs_[static_cast<size_t>(share)];
    const int64_t begin = count * share / shares;
    run.end = count * (share + 1) / shares;
    run.number_and_left.store(Word(number, run.end - begin), std::memory_order_release);
  }
  // In sequence with notify_all's look for sleepers, or one that is about to sleep misses it.
  number_.store(number, std::memory_order_seq_cst);
  number_.notify_all();
}

void ThreadPool::TakeItems(int thread) {
  int32_t done = 0;
  for (size_t i = 0; i < runs_.size(); ++i) {
    OwnRun& run = runs_[(static_cast<size_t>(thread) + i) % runs_.size()];
    uint64_t word = run.number_and_left.load(std::memory_order_acquire);
    while (LeftOf(word) > 0) {
      if (!run.number_and_left.compare_exchange_weak(word, word - 1, std::memory_order_acq_rel,
                                                     std::memory_order_acquire)) {
        continue;
      }
      job_.call(job_.body, run.end - LeftOf(word), thread);
      ++done;
      word = run.number_and_left.load(std::memory_order_acquire);
    }
  }
  if (done > 0 && pending_.fetch_sub(done, std::memory_order_acq_rel) == done && thread != 0) {
    pending_.notify_one();
  }
}

void ThreadPool::AwaitEnd() {
  const auto ended = [this] { return pending_.load(std::memory_order_acquire) == 0; };
  if (ended() || SpinFor(kEndSpin, ended)) return;
  for (int32_t left; (left = pending_.load(std::memory_order_acquire)) != 0;) pending_.wait(left);
}

void ThreadPool::Work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    const auto is_new = [&] { return number_.load(std::memory_order_acquire) != seen; };
    if (!SpinFor(kIdleSpin, is_new)) number_.wait(seen, std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    seen = number_.load(std::memory_order_acquire);
    TakeItems(thread);
  }
}

}  // namespace reprise
