#include "metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>

namespace reprise {
namespace {

double ClockValue(const timespec& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double ReadClock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return ClockValue(time);
}

// Since 1970; 0: unknown. /proc/self/stat has it as its 22nd field, in ticks since the system
// started; the second field may hold spaces and ends in ')'.
double ProcessStart() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double ticks = 0;
  if (!(fields >> ticks)) return 0;
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  return ReadClock(CLOCK_REALTIME) - ReadClock(CLOCK_BOOTTIME) + ticks / ticks_per_second;
}

}  // namespace

void WriteProcess(MetricsText& text) {
  if (const double start = ProcessStart(); start > 0) {
    text.Gauge("process_start_time_seconds", "When the process started, in seconds since 1970.",
               start);
  }
  text.Counter("process_cpu_seconds_total", "Processor time spent, of all threads.",
               ReadClock(CLOCK_PROCESS_CPUTIME_ID));
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t pages = 0, resident = 0;
  if (std::ifstream("/proc/self/statm") >> pages >> resident) {
    text.Gauge("process_virtual_memory_bytes", "Address space.", pages * page_bytes);
    text.Gauge("process_resident_memory_bytes", "Memory in use, mapped files included.",
               resident * page_bytes);
  }
  std::error_code error;
  std::filesystem::directory_iterator open("/proc/self/fd", error);
  if (!error) {
    text.Gauge("process_open_fds", "Open file descriptors.", std::distance(begin(open), end(open)));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    text.Gauge("process_max_fds", "Most file descriptors that may be open.", limit.rlim_cur);
  }
}

}  // namespace reprise
