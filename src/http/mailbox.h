#pragma once

// Where another thread (the engine's, the worker's) leaves things for a coroutine of the I/O
// thread. Bounded in bytes, each by itself and all by the budget for requests' memory: past a bound
// everything is dropped, and the mailbox stays overflowed.
//
// Shared by both sides, because a producer may hold its end after the coroutine has gone: then Post
// does nothing. Post: any thread, never blocks for longer than a few moves. The rest: the I/O
// thread, one coroutine at a time.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory_budget.h"

namespace reprise {

template <typename T>
class Mailbox : public std::enable_shared_from_this<Mailbox<T>> {
 public:
  explicit Mailbox(boost::asio::any_io_executor executor,
                   size_t max_bytes = std::numeric_limits<size_t>::max(), MemoryShare memory = {})
      : executor_(std::move(executor)), max_bytes_(max_bytes), memory_(std::move(memory)) {}

  // False: what is posted comes to nobody any more.
  bool Post(T item, size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (closed_ || overflowed_) return false;
    bytes_ += bytes;
    const bool counts = bytes_ > limits::kUncountedReplyBytes;
    overflowed_ = bytes_ > max_bytes_ || (counts && !memory_.Resize(bytes_));
    if (overflowed_) {
      items_.clear();
      memory_.Resize(0);
    } else {
      items_.push_back(std::move(item));
    }
    // Under the lock: while it is not closed, the receiver and thus its executor are there.
    if (!wake_posted_) {
      wake_posted_ = true;
      boost::asio::post(executor_, [self = this->shared_from_this()] { self->Wake(); });
    }
    return !overflowed_;
  }

  // What has arrived, waiting for the first of it; nothing after `timeout` or when overflowed.
  boost::asio::awaitable<std::vector<T>> Receive(Duration timeout) {
    const TimePoint until = std::chrono::steady_clock::now() + timeout;
    for (;;) {
      if (std::vector<T> items; Take(items)) co_return items;
      boost::asio::steady_timer timer(executor_, until);
      const WaiterGuard guard(this, &timer);
      const auto [failure] =
          co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
      if (!failure) co_return std::vector<T>{};
    }
  }

  // Called once, on the I/O thread, when the bound is passed.
  void OnOverflow(std::function<void()> callback) { on_overflow_ = std::move(callback); }
  bool overflowed() const {
    const std::lock_guard lock(mutex_);
    return overflowed_;
  }

  // The receiver goes away.
  void Close() {
    on_overflow_ = nullptr;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    items_.clear();
    memory_.Resize(0);
  }

 private:
  struct WaiterGuard {
    WaiterGuard(Mailbox* of, boost::asio::steady_timer* timer) : mailbox(of) {
      mailbox->waiter_ = timer;
    }
    ~WaiterGuard() { mailbox->waiter_ = nullptr; }
    WaiterGuard(const WaiterGuard&) = delete;
    WaiterGuard& operator=(const WaiterGuard&) = delete;
    Mailbox* mailbox;
  };

  // True when Receive has an answer.
  bool Take(std::vector<T>& items) {
    const std::lock_guard lock(mutex_);
    items.swap(items_);
    bytes_ = 0;
    memory_.Resize(0);
    return !items.empty() || overflowed_;
  }

  void Wake() {
    bool overflowed = false;
    {
      const std::lock_guard lock(mutex_);
      wake_posted_ = false;
      overflowed = overflowed_;
    }
    if (overflowed && on_overflow_) std::exchange(on_overflow_, nullptr)();
    if (waiter_ != nullptr) waiter_->cancel();
  }

  const boost::asio::any_io_executor executor_;
  const size_t max_bytes_;
  mutable std::mutex mutex_;
  std::vector<T> items_;                         // GUARDED_BY(mutex_)
  size_t bytes_ = 0;                             // GUARDED_BY(mutex_): of items_
  MemoryShare memory_;                           // GUARDED_BY(mutex_)
  bool overflowed_ = false;                      // GUARDED_BY(mutex_)
  bool closed_ = false;                          // GUARDED_BY(mutex_)
  bool wake_posted_ = false;                     // GUARDED_BY(mutex_)
  boost::asio::steady_timer* waiter_ = nullptr;  // I/O thread
  std::function<void()> on_overflow_;            // I/O thread
};

}  // namespace reprise
