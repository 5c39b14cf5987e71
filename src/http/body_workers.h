#pragma once

// The threads that read bodies, render and tokenise, so that a long prompt does not stall running
// streams: one for short bodies, two or more for long ones, on which tenants take turns. OnWorker
// belongs to the I/O thread of `io`.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fair_pool.h"
#include "base/interruption.h"
#include "base/limits.h"
#include "base/memory_budget.h"
#include "http/mailbox.h"
#include "http/request_memory.h"

namespace reprise {

// Of work on a body: whose it is, how long the body is, and what counts its memory.
struct WorkOrder {
  std::string tenant;
  size_t bytes = 0;
  std::shared_ptr<MemoryShare> memory;
};

class BodyWorkers {
 public:
  explicit BodyWorkers(boost::asio::any_io_executor io);

  // Runs `work` on a worker thread and resumes with what it returned. `work` owns what it needs:
  // when the coroutine goes, it is dropped or interrupted (base/interruption.h).
  template <typename T>
  boost::asio::awaitable<Result<T>> OnWorker(WorkOrder order, std::function<Result<T>()> work);
  // Nobody waits for it. It is started after what the same tenant handed over before. Any thread.
  void InBackground(const WorkOrder& order, std::function<void()> work);

  // Joins the workers. What was handed over and has not begun is dropped.
  void Stop();

 private:
  // `run` on a thread, then its memory back to the system if it may have been much.
  void Post(const WorkOrder& order, std::function<void()> run);

  const boost::asio::any_io_executor io_;
  // Short work does not wait for long work, and no tenant for another's.
  FairPool short_work_;
  FairPool long_work_;
};

template <typename T>
boost::asio::awaitable<Result<T>> BodyWorkers::OnWorker(WorkOrder order,
                                                        std::function<Result<T>()> work) {
  const auto mailbox = std::make_shared<Mailbox<Result<T>>>(io_);
  std::stop_source stop;
  const std::shared_ptr<void> closes(nullptr, [mailbox, stop](void*) mutable {
    mailbox->Close();
    stop.request_stop();
  });
  Post(order, [mailbox, order, token = stop.get_token(), work = std::move(work)] {
    if (token.stop_requested()) return;
    const InterruptibleScope scope(token);
    try {
      if (!order.memory->Resize(order.bytes * limits::kWorkBytesPerBodyByte)) {
        mailbox->Post(std::unexpected(NoRequestMemory()), 0);
        return;
      }
      Result<T> result = work();
      order.memory->Resize(order.bytes);  // what was made of the body stays
      // Last: from here on the memory is the coroutine's to count.
      mailbox->Post(std::move(result), 0);
    } catch (const Interrupted&) {
      return;  // nobody waits
    } catch (const std::exception& failure) {
      mailbox->Post(Fail(ErrorCode::kInternal, failure.what()), 0);
    }
  });
  for (;;) {
    std::vector<Result<T>> results = co_await mailbox->Receive(std::chrono::hours(1));
    if (!results.empty()) co_return std::move(results.front());
  }
}

}  // namespace reprise
