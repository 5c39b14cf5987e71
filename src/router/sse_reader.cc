#include "router/sse_reader.h"

#include <algorithm>

#include "base/fleet_limits.h"

namespace reprise {
namespace {

// A line's value behind its field's name; one space before it is none of it.
std::string_view ValueOf(std::string_view line, std::string_view field) {
  line.remove_prefix(field.size());
  if (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

// One event: lines without the empty one behind them. Data in several lines is what none of our
// servers sends; the last line counts.
void TakeEvent(std::string_view lines, const SseReader::Taker& take) {
  std::string_view name, data;
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    std::string_view line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view() : lines.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("event:")) name = ValueOf(line, "event:");
    if (line.starts_with("data:")) data = ValueOf(line, "data:");
  }
  if (!data.empty()) take(name, data);
}

}  // namespace

bool SseReader::Put(std::string_view bytes, const Taker& take) {
  rest_ += bytes;
  size_t begin = 0;
  for (;;) {
    const size_t end = rest_.find("\n\n", std::max(begin, searched_));
    if (end == std::string::npos) break;
    TakeEvent(std::string_view(rest_).substr(begin, end - begin), take);
    begin = end + 2;
    searched_ = begin;
  }
  rest_.erase(0, begin);
  searched_ = rest_.empty() ? 0 : rest_.size() - 1;
  return rest_.size() <= limits::kMaxFleetEventBytes;
}

}  // namespace reprise
