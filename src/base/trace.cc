#include "base/trace.h"

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>

namespace reprise {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// The one trace of the process, as there is one log.
struct TraceFile {
  std::mutex mutex;
  std::unique_ptr<std::FILE, CloseFile> file;  // GUARDED_BY(mutex)
  bool empty = true;                           // GUARDED_BY(mutex)
  std::atomic<bool> open = false;
};

TraceFile& File() {
  static TraceFile file;
  return file;
}

int ThreadNumber() {
  static std::atomic<int> next{1};
  thread_local const int number = next++;
  return number;
}

void WriteEvent(const std::string& event) {
  TraceFile& trace = File();
  std::lock_guard lock(trace.mutex);
  if (trace.file == nullptr) return;
  std::fputs(trace.empty ? "\n" : ",\n", trace.file.get());
  std::fputs(event.c_str(), trace.file.get());
  trace.empty = false;
}

double Microseconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

}  // namespace

Status OpenTrace(const std::string& path) {
  TraceFile& trace = File();
  std::lock_guard lock(trace.mutex);
  trace.file.reset(std::fopen(path.c_str(), "w"));
  if (trace.file == nullptr) {
    return Fail(ErrorCode::kIo,
                fmt::format("The trace {} cannot be written: {}.", path, std::strerror(errno)));
  }
  std::fputs("[", trace.file.get());
  trace.empty = true;
  trace.open = true;
  return {};
}

void CloseTrace() {
  TraceFile& trace = File();
  std::lock_guard lock(trace.mutex);
  trace.open = false;
  if (trace.file == nullptr) return;
  std::fputs("\n]\n", trace.file.get());
  trace.file.reset();
}

bool Tracing() { return File().open.load(std::memory_order_relaxed); }

void NameTraceThread(std::string_view name) {
  if (!Tracing()) return;
  WriteEvent(
      fmt::format(R"({{"ph":"M","pid":1,"tid":{},"name":"thread_name","args":{{"name":"{}"}}}})",
                  ThreadNumber(), name));
}

void TraceBar(std::string_view name, TimePoint begin, TimePoint end, std::string_view detail) {
  if (!Tracing()) return;
  const std::string args =
      detail.empty() ? std::string() : fmt::format(R"(,"args":{{"detail":"{}"}})", detail);
  WriteEvent(fmt::format(R"({{"ph":"X","pid":1,"tid":{},"name":"{}","ts":{:.1f},"dur":{:.1f}{}}})",
                         ThreadNumber(), name, Microseconds(begin.time_since_epoch()),
                         Microseconds(end - begin), args));
}

}  // namespace reprise
