#pragma once

// One line per event, on standard error, with time and level. Thread-safe. Formatting is fmt's:
// LogInfo("loaded {} tensors", n).

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace reprise {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void SetLogLevel(LogLevel level);                     // default kInfo
void LogLine(LogLevel level, std::string_view line);  // written as Printable

// For a terminal: control characters (C0, DEL, C1) become \\xNN, so that what comes from a file or
// a client begins no line of its own and moves no cursor.
std::string Printable(std::string_view text);

template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace reprise
