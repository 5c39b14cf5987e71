#pragma once

// A question to the engine's thread, for pages that show what it alone may look at. I/O thread.

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "api/service.h"
#include "http/mailbox.h"

namespace reprise {

// What the engine thread answers to `ask`, which hands it a function to call with that.
template <typename T>
boost::asio::awaitable<std::optional<T>> AskEngine(
    Service& service, std::function<void(std::function<void(T)>)> ask) {
  const auto mailbox = std::make_shared<Mailbox<T>>(service.io);
  const std::shared_ptr<void> closes(nullptr, [mailbox](void*) { mailbox->Close(); });
  ask([mailbox](T answer) { mailbox->Post(std::move(answer), 0); });
  // The engine answers between two steps; a minute without means that it has stopped.
  std::vector<T> answers = co_await mailbox->Receive(std::chrono::minutes(1));
  if (answers.empty()) co_return std::nullopt;
  co_return std::move(answers.front());
}

inline Error NoAnswer() {
  return {ErrorCode::kInternal, "The engine did not answer within a minute.", ""};
}

}  // namespace reprise
