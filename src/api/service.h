#pragma once

// What every handler needs: the engine, the model's texts, the counts, and the worker threads that
// read bodies and tokenise. One a server; its own parts belong to the I/O thread.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_set>
#include <utility>

#include "api/mailbox.h"
#include "api/metrics.h"
#include "api/server_options.h"
#include "api/turns.h"
#include "api/watchers.h"
#include "base/fair_pool.h"
#include "base/interruption.h"
#include "base/limits.h"
#include "base/memory_budget.h"
#include "engine/engine.h"
#include "history/history.h"
#include "history/ledger.h"
#include "http/api_keys.h"
#include "http/listener.h"
#include "http/request_memory.h"
#include "vendor/served_model.h"

namespace reprise {

class CompletionRun;

inline Error StoppingError() {
  return {ErrorCode::kCancelled, "The server is stopping; ask again in a moment.", ""};
}

// Of work on a body: whose it is, how long the body is, and what counts its memory.
struct WorkOrder {
  std::string tenant;
  size_t bytes = 0;
  std::shared_ptr<MemoryShare> memory;
};

class Service {
 public:
  Service(Engine& served_engine, ServedModel served_model, const ServerOptions& server_options,
          boost::asio::io_context& io_context, const HttpListener& http_listener);

  // Runs `work` on a worker thread and resumes with what it returned. `work` owns what it needs:
  // when the coroutine goes, it is dropped or interrupted (base/interruption.h).
  template <typename T>
  boost::asio::awaitable<Result<T>> OnWorker(WorkOrder order, std::function<Result<T>()> work);
  // Nobody waits for it. It is started after what the same tenant handed over before.
  void InBackground(const WorkOrder& order, std::function<void()> work);

  // Joins the workers. What was handed over and has not begun is dropped.
  void StopWork();

  // From the system's generator: nobody can tell one from those before.
  static uint64_t NextRandom();
  static std::string NewId(std::string_view prefix);
  static int64_t SecondsSince1970();

  Engine& engine;
  const ServedModel model;
  const ServerOptions options;
  const boost::asio::any_io_executor io;
  const HttpListener& listener;
  const int64_t started_at;     // seconds since 1970
  std::optional<ApiKeys> keys;  // none: nobody needs one
  Metrics metrics;
  History history;
  Turns tree_turns;  // of those who look at the tree
  Ledger ledger;
  Watchers watchers;
  bool noted_billing_line = false;  // said once that it is left out
  bool stopping = false;            // nothing new is begun
  size_t open_exchanges = 0;        // requests being answered
  std::unordered_set<CompletionRun*> runs;

 private:
  // `run` on a thread, then its memory back to the system if it may have been much.
  void Post(const WorkOrder& order, std::function<void()> run);

  // Short work does not wait for long work, and no tenant for another's.
  FairPool short_work_;
  FairPool long_work_;
};

template <typename T>
boost::asio::awaitable<Result<T>> Service::OnWorker(WorkOrder order,
                                                    std::function<Result<T>()> work) {
  const auto mailbox = std::make_shared<Mailbox<Result<T>>>(io);
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
