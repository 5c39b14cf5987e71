#include "api/service.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"

namespace reprise {
namespace {

// One core is left for everything else, but two tenants' work may always go on beside each other.
size_t LongWorkers() {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());  // 0: unknown
  return static_cast<size_t>(std::clamp(cores - 1, 2, limits::kMaxLongWorkers));
}

}  // namespace

Service::Service(Engine& served_engine, ServedModel served_model,
                 const ServerOptions& server_options, boost::asio::io_context& io_context,
                 const HttpListener& http_listener)
    : engine(served_engine),
      model(std::move(served_model)),
      options(server_options),
      io(io_context.get_executor()),
      listener(http_listener),
      started_at(SecondsSince1970()),
      history(model.policy.history, limits::kMaxHistoryBytes),
      tree_turns(std::chrono::milliseconds(limits::kTreePauseMs),
                 std::chrono::seconds(limits::kTreeWaitSeconds)),
      ledger(started_at),
      watchers(*this, io),
      short_work_("short work", 1, 1),
      long_work_("long work", LongWorkers(), LongWorkers() - 1) {}

void Service::Post(const WorkOrder& order, std::function<void()> run) {
  const bool is_long = order.bytes > limits::kShortWorkBytes;
  (is_long ? long_work_ : short_work_)
      .Post(order.tenant, [run = std::move(run), is_long]() mutable {
        run();
        run = nullptr;
        if (is_long) malloc_trim(0);
      });
}

void Service::InBackground(const WorkOrder& order, std::function<void()> work) {
  Post(order, [work = std::move(work)] {
    try {
      work();
    } catch (const std::exception& failure) {
      LogWarning("work in the background failed: {}", failure.what());
    }
  });
}

void Service::StopWork() {
  short_work_.Stop();
  long_work_.Stop();
}

uint64_t Service::NextRandom() {
  uint64_t value = 0;
  CHECK(getentropy(&value, sizeof value) == 0, "the system has random bytes");
  return value;
}

int64_t Service::SecondsSince1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string Service::NewId(std::string_view prefix) {
  return fmt::format("{}{:016x}", prefix, NextRandom());
}

}  // namespace reprise
