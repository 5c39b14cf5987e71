#include "api/service.h"

#include <fmt/format.h>

#include <chrono>

#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"

namespace reprise {

Service::Service(Engine& served_engine, ServedModel served_model,
                 const ServerOptions& server_options, boost::asio::io_context& io_context,
                 const HttpListener& http_listener, MemoryBudget& request_memory)
    : engine(served_engine),
      model(std::move(served_model)),
      options(server_options),
      io(io_context.get_executor()),
      listener(http_listener),
      memory(request_memory),
      started_at(std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count()),
      history(model.policy.history, limits::kMaxHistoryBytes) {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device()};
  random_.seed(seed);
  InBackground([] { NameTraceThread("worker"); });
}

Service::~Service() { worker_.join(); }

void Service::InBackground(std::function<void()> work) {
  boost::asio::post(worker_, [work = std::move(work)] {
    try {
      work();
    } catch (const std::exception& failure) {
      LogWarning("work in the background failed: {}", failure.what());
    }
  });
}

std::string Service::NewId(std::string_view prefix) {
  return fmt::format("{}{:016x}", prefix, random_());
}

}  // namespace reprise
