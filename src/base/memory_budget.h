#pragma once

// A bound on what many hold together, in bytes, and one holder's part of it. What is counted is
// what was asked for, not what the allocator makes of it. Any thread; one MemoryShare has one user
// at a time.

#include <atomic>
#include <cstddef>
#include <utility>

namespace reprise {

class MemoryBudget {
 public:
  explicit MemoryBudget(size_t bytes) : bytes_(bytes) {}

  // False when that would be more than the bound: then nothing is taken.
  bool Take(size_t bytes) {
    size_t held = held_.load(std::memory_order_relaxed);
    do {
      if (bytes > bytes_ || held > bytes_ - bytes) return false;
    } while (!held_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
    return true;
  }
  void Give(size_t bytes) { held_.fetch_sub(bytes, std::memory_order_relaxed); }

  size_t bytes() const { return bytes_; }
  size_t held() const { return held_.load(std::memory_order_relaxed); }

 private:
  const size_t bytes_;
  std::atomic<size_t> held_{0};
};

// Gives back what it holds when it goes. Without a budget everything is allowed.
class MemoryShare {
 public:
  MemoryShare() = default;
  explicit MemoryShare(MemoryBudget& budget) : budget_(&budget) {}
  MemoryShare(MemoryShare&& other) noexcept
      : budget_(other.budget_), held_(std::exchange(other.held_, 0)) {}
  MemoryShare& operator=(MemoryShare&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(held_, other.held_);
    return *this;
  }
  ~MemoryShare() { Resize(0); }

  // To hold so many bytes from now on. False when they are not to be had: then it holds what it
  // held.
  bool Resize(size_t bytes) {
    if (budget_ == nullptr) return true;
    if (bytes > held_ && !budget_->Take(bytes - held_)) return false;
    if (bytes < held_) budget_->Give(held_ - bytes);
    held_ = bytes;
    return true;
  }
  size_t held() const { return held_; }
  // Another part of the same budget; holds nothing yet.
  MemoryShare Another() const { return budget_ == nullptr ? MemoryShare() : MemoryShare(*budget_); }

 private:
  MemoryBudget* budget_ = nullptr;
  size_t held_ = 0;
};

}  // namespace reprise
