#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace reprise {
namespace {

spdlog::logger& Logger() {
  static const auto logger = [] {
    auto made = spdlog::stderr_color_mt("reprise");
    made->set_pattern("%H:%M:%S.%e %^%L%$ %v");
    return made;
  }();
  return *logger;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

void SetLogLevel(LogLevel level) { Logger().set_level(ToSpdlog(level)); }

std::string Printable(std::string_view text) {
  std::string printable;
  printable.reserve(text.size());
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  for (size_t i = 0; i < text.size(); ++i) {
    const bool c1 = i + 1 < text.size() && byte(i) == 0xC2 && byte(i + 1) < 0xA0;  // in UTF-8
    if (byte(i) < 0x20 || byte(i) == 0x7F || c1) {
      printable += fmt::format("\\x{:02x}", c1 ? byte(++i) : byte(i));
    } else {
      printable += text[i];
    }
  }
  return printable;
}

void LogLine(LogLevel level, std::string_view line) {
  Logger().log(ToSpdlog(level), Printable(line));
}

}  // namespace reprise
