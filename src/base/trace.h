#pragma once

// Where the time of a request goes, as a file for chrome://tracing or https://ui.perfetto.dev
// (Trace Event Format): one bar a stage, one row a thread, times in microseconds of the steady
// clock. Off until OpenTrace; then a bar costs a line in a buffered file. Thread-safe.

#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/error.h"

namespace reprise {

// kIo when the file cannot be written. What it held is gone.
Status OpenTrace(const std::string& path);
void CloseTrace();  // completes the file; idempotent
bool Tracing();

// The calling thread's row.
void NameTraceThread(std::string_view name);
// One bar of the calling thread's row. `detail` is shown with it: plain ASCII without quotes.
void TraceBar(std::string_view name, TimePoint begin, TimePoint end, std::string_view detail = {});

// A bar from construction to destruction.
class TraceScope {
 public:
  explicit TraceScope(std::string_view name) : name_(name), begin_(Now()) {}
  ~TraceScope() {
    if (Tracing()) TraceBar(name_, begin_, Now(), detail_);
  }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

  void Describe(std::string detail) { detail_ = std::move(detail); }

 private:
  static TimePoint Now() { return Tracing() ? std::chrono::steady_clock::now() : TimePoint(); }

  std::string_view name_;
  TimePoint begin_;
  std::string detail_;
};

}  // namespace reprise
