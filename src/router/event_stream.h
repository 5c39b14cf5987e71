#pragma once

// A stream of server-sent events on its way through: whole events are passed on as soon as they are
// there, byte for byte, and what is half of one waits for its end, so that a stream which breaks
// off ends between two events, where the vendor's error event can follow. A value; one thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "router/request_route.h"

namespace reprise {

class EventStream {
 public:
  // Takes in what came, returns what can be passed on: whole events, or anything once more than
  // limits::kMaxPartialEventBytes of one have come.
  std::string Put(std::string bytes);
  // What has not been passed on.
  std::string TakeRest() { return std::exchange(rest_, {}); }
  // The vendor's event for a stream that ends so.
  std::string ErrorEvent(const RequestRoute& route, const Error& error) const;

 private:
  std::string rest_;
  size_t searched_ = 0;       // of rest_: no event ends in it
  int64_t last_number_ = -1;  // "sequence_number" of the event passed on last, where events have it
};

}  // namespace reprise
