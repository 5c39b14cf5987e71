#include "base/cpus.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <system_error>

namespace reprise {
namespace {

constexpr int kMostCpus = CPU_SETSIZE;

std::vector<int> AllowedCpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return {0};
  for (int cpu = 0; cpu < kMostCpus; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

// The CPUs that share a core with this one, as the kernel writes them: the same text for each of
// them. Empty where it does not say.
std::string SiblingsOf(int cpu) {
  std::ifstream file(
      fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
  std::string siblings;
  std::getline(file, siblings);
  return siblings;
}

int CoresAmong(std::span<const int> cpus) {
  std::set<std::string> cores;
  int unknown = 0;
  for (const int cpu : cpus) {
    std::string siblings = SiblingsOf(cpu);
    if (siblings.empty()) {
      ++unknown;
    } else {
      cores.insert(std::move(siblings));
    }
  }
  return static_cast<int>(cores.size()) + unknown;
}

// What the control group may use at a time, rounded up; kMostCpus without a limit.
int GroupLimit() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");  // "QUOTA PERIOD" in us, or "max PERIOD"
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0) return kMostCpus;
  return static_cast<int>(std::min(std::ceil(quota / period), double{kMostCpus}));
}

bool ReadNumber(std::string_view text, int& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 0 &&
         number < kMostCpus;
}

}  // namespace

int DefaultThreads() { return std::max(1, std::min(CoresAmong(AllowedCpus()), GroupLimit())); }

Result<std::vector<int>> ParseCpus(std::string_view list) {
  std::set<int> cpus;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t comma = std::min(list.find(',', begin), list.size());
    const std::string_view range = list.substr(begin, comma - begin);
    const size_t dash = range.find('-');
    int first = 0;
    int last = 0;
    if (!ReadNumber(range.substr(0, dash), first) ||
        !ReadNumber(dash == std::string_view::npos ? range : range.substr(dash + 1), last) ||
        last < first) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is no list of CPUs such as 0-3,8", list));
    }
    for (int cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
    begin = comma + 1;
  }
  return std::vector<int>(cpus.begin(), cpus.end());
}

Status BindToCpus(std::span<const int> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) == 0) return {};
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("this process may use none of the CPUs that were asked for ({})",
                          std::generic_category().message(errno)));
}

}  // namespace reprise
