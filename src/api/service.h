#pragma once

// What every handler needs: the engine, the model's texts, the counts, and the worker thread that
// reads bodies and tokenises. One a server; its own parts belong to the I/O thread.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "api/mailbox.h"
#include "api/metrics.h"
#include "api/server_options.h"
#include "base/memory_budget.h"
#include "engine/engine.h"
#include "history/history.h"
#include "http/api_keys.h"
#include "http/listener.h"
#include "vendor/served_model.h"

namespace reprise {

class Service {
 public:
  Service(Engine& served_engine, ServedModel served_model, const ServerOptions& server_options,
          boost::asio::io_context& io_context, const HttpListener& http_listener,
          MemoryBudget& request_memory);
  // Waits for the worker. REQUIRES: no coroutine is waiting for it any more.
  ~Service();

  // Runs `work` on the worker thread and resumes with what it returned. `work` owns what it needs:
  // the coroutine may be gone when it runs.
  template <typename T>
  boost::asio::awaitable<Result<T>> OnWorker(std::function<Result<T>()> work);
  // Runs it there, after everything handed over before.
  void InBackground(std::function<void()> work);

  uint64_t NextRandom() { return random_(); }
  std::string NewId(std::string_view prefix);

  Engine& engine;
  const ServedModel model;
  const ServerOptions options;
  const boost::asio::any_io_executor io;
  const HttpListener& listener;
  MemoryBudget& memory;
  const int64_t started_at;     // seconds since 1970
  std::optional<ApiKeys> keys;  // none: nobody needs one
  Metrics metrics;
  History history;
  bool noted_billing_line = false;  // said once that it is left out

 private:
  std::mt19937_64 random_;
  boost::asio::thread_pool worker_{1};
};

template <typename T>
boost::asio::awaitable<Result<T>> Service::OnWorker(std::function<Result<T>()> work) {
  const auto mailbox = std::make_shared<Mailbox<Result<T>>>(io, std::numeric_limits<size_t>::max());
  const std::shared_ptr<void> closes(nullptr, [mailbox](void*) { mailbox->Close(); });
  boost::asio::post(worker_, [mailbox, work = std::move(work)] {
    try {
      mailbox->Post(work(), 0);
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
