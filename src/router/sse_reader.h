#pragma once

// Server-sent events taken apart as they come
// (https://html.spec.whatwg.org/multipage/server-sent-events.html): names and data; comments are
// skipped. A value; one thread.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace reprise {

class SseReader {
 public:
  // Of one event; the views live as long as the call.
  using Taker = std::function<void(std::string_view name, std::string_view data)>;

  // False: one event is longer than limits::kMaxFleetEventBytes.
  bool Put(std::string_view bytes, const Taker& take);

 private:
  std::string rest_;     // no event ends in it
  size_t searched_ = 0;  // of rest_
};

}  // namespace reprise
