#pragma once

// Something that may take too long, given up after a time.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "base/clock.h"
#include "http/as_tuple.h"

namespace reprise {

// What `work` comes to; nullopt: it was cancelled after `longest`. (Work that cannot be cancelled,
// such as a question to the DNS that is under way, is waited for all the same.)
template <typename T>
boost::asio::awaitable<std::optional<T>> Within(Duration longest, boost::asio::awaitable<T> work) {
  using boost::asio::experimental::awaitable_operators::operator||;
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, longest);
  // Named, because gcc 12 destroys temporaries of such an expression twice.
  auto expiring = timer.async_wait(kAsTuple);
  auto first = co_await (std::move(work) || std::move(expiring));
  if (first.index() == 1) co_return std::nullopt;
  co_return std::get<0>(std::move(first));
}

}  // namespace reprise
