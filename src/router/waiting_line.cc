#include "router/waiting_line.h"

#include <algorithm>
#include <utility>

#include "http/as_tuple.h"

namespace reprise {
namespace asio = boost::asio;

WaitingLine::Place::Place(WaitingLine& line, const asio::any_io_executor& io, bool bound)
    : line_(line), timer_(io), bound_(bound), at_(line.places_.insert(line.places_.end(), this)) {}

WaitingLine::Place::~Place() {
  line_.places_.erase(at_);
  line_.WakeFirst();
}

asio::awaitable<bool> WaitingLine::Place::Wait(TimePoint until) {
  if (!std::exchange(woken_, false)) {
    timer_.expires_at(until);
    const auto [failure] = co_await timer_.async_wait(kAsTuple);
    woken_ = false;
    co_return failure == asio::error::operation_aborted;
  }
  co_return true;
}

void WaitingLine::Wake(Place& place) {
  place.woken_ = true;
  place.timer_.cancel();
}

const WaitingLine::Place* WaitingLine::FirstUnbound() const {
  const auto found = std::ranges::find_if(places_, [](const Place* each) { return !each->bound_; });
  return found == places_.end() ? nullptr : *found;
}

void WaitingLine::WakeFirst() {
  for (Place* place : places_) {
    if (place->may_go()) Wake(*place);
  }
}

void WaitingLine::WakeAll() {
  for (Place* place : places_) Wake(*place);
}

}  // namespace reprise
