#include "app/shared_options.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "app/machine.h"
#include "base/limits.h"
#include "dialect/dialect.h"

namespace reprise {

CLI::AsNumberWithUnit AsSeconds() {
  static const std::map<std::string, double> kSeconds = {
      {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  return CLI::AsNumberWithUnit(kSeconds, CLI::AsNumberWithUnit::CASE_INSENSITIVE, "TIME");
}

double InSeconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
Duration FromSeconds(double seconds) { return Duration(static_cast<int64_t>(seconds * 1e9)); }

void AddToolFormat(CLI::App& command, std::string& name, const std::string& what) {
  command
      .add_option("--tool-format", name,
                  what + ToolFormatNames() + "; default: as the words of the chat template tell")
      ->check([](const std::string& given) {
        return ToolFormatOf(given) ? std::string() : "one of " + ToolFormatNames() + " is meant";
      });
}

void AddDefences(CLI::App& command, size_t& request_memory, OriginPolicy& origins) {
  command
      .add_option(
          "--request-memory", request_memory,
          "memory for requests: bodies, the work on them and replies; beyond it clients are "
          "told to come again; default: a sixteenth of the RAM, 256M to 4G")
      ->transform(CLI::AsSizeValue(false));
  command
      .add_option("--allow-host", origins.hosts,
                  "name by which this may be reached; default: on loopback localhost and "
                  "addresses only, else any")
      ->type_name("NAME");
  command
      .add_option("--allow-origin", origins.origins,
                  "web page's origin, such as https://chat.example, that may use this; * for all; "
                  "default: its own")
      ->type_name("ORIGIN");
}

size_t DefaultRequestMemory() {
  return std::clamp<uint64_t>(MemoryBytes() / 16, limits::kMinRequestMemory,
                              limits::kMaxRequestMemory);
}

}  // namespace reprise
