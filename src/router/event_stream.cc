#include "router/event_stream.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "base/fleet_limits.h"
#include "vendor/responses/endpoints.h"
#include "vendor/sse.h"

namespace reprise {
namespace json = boost::json;
namespace {

// Behind the last event that is whole: one ends with an empty line.
size_t EndOfEvents(std::string_view text, size_t from) {
  for (size_t at = text.size(); at > from + 1; --at) {
    if (text[at - 1] != '\n') continue;
    if (text[at - 2] == '\n') return at;
    if (at >= 3 && text[at - 2] == '\r' && text[at - 3] == '\n') return at;
  }
  return 0;
}

int64_t LastNumber(std::string_view events, int64_t before) {
  constexpr std::string_view kName = "\"sequence_number\":";
  const size_t at = events.rfind(kName);
  if (at == std::string_view::npos) return before;
  std::string_view digits = events.substr(at + kName.size());
  digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
  int64_t number = before;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

std::string EventStream::Put(std::string bytes) {
  rest_ = rest_.empty() ? std::move(bytes) : rest_ + bytes;
  // The end of an event may have come in two pieces.
  size_t end = EndOfEvents(rest_, searched_ < 3 ? 0 : searched_ - 3);
  if (end == 0 && rest_.size() > limits::kMaxPartialEventBytes) end = rest_.size();
  std::string whole = rest_.substr(0, end);
  rest_.erase(0, end);
  searched_ = rest_.size();
  last_number_ = LastNumber(whole, last_number_);
  return whole;
}

std::string EventStream::ErrorEvent(const RequestRoute& route, const Error& error) const {
  std::string events;
  const ErrorReply reply = ErrorFormOf(route.path).error(error, "");
  if (route.path == kResponses.path) {
    const json::object fault = json::parse(reply.body).as_object().at("error").as_object();
    const json::value code = fault.at("code").is_null() ? fault.at("type") : fault.at("code");
    AppendNamedSseEvent(events, "error",
                        json::serialize(json::object{{"type", "error"},
                                                     {"sequence_number", last_number_ + 1},
                                                     {"code", code},
                                                     {"message", fault.at("message")},
                                                     {"param", nullptr}}));
  } else if (&ErrorFormOf(route.path) == &ErrorFormOf("/")) {
    AppendSseEvent(events, reply.body);
  } else {
    AppendNamedSseEvent(events, "error", reply.body);
  }
  return events;
}

}  // namespace reprise
