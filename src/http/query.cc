#include "http/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace reprise {
namespace {

std::string Decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    uint8_t byte = 0;
    if (text[i] == '%' && i + 2 < text.size()) {
      const char* const end = text.data() + i + 3;
      const auto [at, error] = std::from_chars(text.data() + i + 1, end, byte, 16);
      if (error == std::errc() && at == end) {
        decoded += static_cast<char>(byte);
        i += 2;
        continue;
      }
    }
    decoded += text[i] == '+' ? ' ' : text[i];
  }
  return decoded;
}

}  // namespace

std::optional<std::string> QueryField(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view field = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), field.size() + 1));
    const size_t sign = field.find('=');
    if (Decoded(field.substr(0, sign)) != name) continue;
    return sign == std::string_view::npos ? "" : Decoded(field.substr(sign + 1));
  }
  return std::nullopt;
}

Result<size_t> QueryNumber(std::string_view query, std::string_view name, size_t absent) {
  const std::optional<std::string> text = QueryField(query, name);
  if (!text) return absent;
  size_t number = 0;
  const char* const end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, number);
  if (error == std::errc() && at == end) return number;
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is to be a whole number, not '{}'.", name, *text),
              std::string(name));
}

}  // namespace reprise
