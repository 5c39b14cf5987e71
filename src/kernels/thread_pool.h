#pragma once

// The threads of a forward pass. A job is a number of items; each thread has a run of items of its
// own, the same in each job of the same size, so that it reads memory in order and finds in its
// core's cache what it wrote in the job before. Whoever has finished takes from the others' runs.
// The caller works too. So nobody waits for a thread that the system does not schedule, but for the
// one item that it may be at.
//
// A thread without work spins for some microseconds, longer than the pauses within a step, and then
// sleeps. On a machine whose cores others want, sleeping early is what lets the system run a thread
// that holds an item, and spinning takes away from one's own share.

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace reprise {

class ThreadPool {
 public:
  // `threads` with the caller, ≥ 1. Starts the others.
  explicit ThreadPool(int threads);
  ~ThreadPool();  // joins them
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(runs_.size()); }

  // body(item, thread) once for each item 0 .. count - 1, in any order, on any of the threads;
  // `thread`, 0 .. threads() - 1, says which: scratch may go by it. Returns when all are done.
  // REQUIRES: one caller at a time, and none from within a body. body does not throw.
  template <typename Body>
  void Run(int64_t count, const Body& body) {
    RunJob(count, Deal::kRuns, JobOf(body));
  }
  // The same, begun in ascending order: for items of which the first take longest.
  template <typename Body>
  void RunInOrder(int64_t count, const Body& body) {
    RunJob(count, Deal::kInOrder, JobOf(body));
  }

 private:
  enum class Deal : uint8_t { kRuns, kInOrder };

  struct Job {
    void (*call)(const void* body, int64_t item, int thread) = nullptr;
    const void* body = nullptr;
  };

  // The items end - left .. end - 1 of the job `number` are still to be taken. One word, so that an
  // item can only be taken of the very job that it belongs to: a thread may have looked long ago.
  struct alignas(64) OwnRun {
    std::atomic<uint64_t> number_and_left = 0;
    int64_t end = 0;  // read by who has taken an item, which keeps the job from ending
  };

  template <typename Body>
  static Job JobOf(const Body& body) {
    return {[](const void* of, int64_t item, int thread) {
              (*static_cast<const Body*>(of))(item, thread);
            },
            &body};
  }

  void RunJob(int64_t count, Deal deal, Job job);
  void Publish(int64_t count, Deal deal);
  void TakeItems(int thread);
  void AwaitEnd();
  void Work(int thread);

  std::vector<OwnRun> runs_;
  Job job_;
  alignas(64) std::atomic<uint32_t> number_ = 0;  // of the last job
  std::atomic<bool> stopping_ = false;
  alignas(64) std::atomic<int32_t> pending_ = 0;  // items that are not done
  std::vector<std::thread> workers_;
};

}  // namespace reprise
