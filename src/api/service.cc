#include "api/service.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"

namespace reprise {

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
      followers(*this, io),
      workers(io) {}

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
