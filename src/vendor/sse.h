#pragma once

// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as
// JSON in one line needs them. Any thread.

#include <string>
#include <string_view>

namespace reprise {

inline constexpr std::string_view kSseContentType = "text/event-stream; charset=utf-8";
// A comment: keeps proxies and read timeouts content; clients skip it.
inline constexpr std::string_view kSsePing = ": still working\n\n";
// How OpenAI ends a stream.
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

// REQUIRES, of both: data holds no line break (serialised JSON never does).
inline void AppendSseEvent(std::string& stream, std::string_view data) {
  stream += "data: ";
  stream += data;
  stream += "\n\n";
}

inline void AppendNamedSseEvent(std::string& stream, std::string_view name, std::string_view data) {
  stream += "event: ";
  stream += name;
  stream += '\n';
  AppendSseEvent(stream, data);
}

}  // namespace reprise
