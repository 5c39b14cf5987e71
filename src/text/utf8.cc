#include "text/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace reprise {
namespace {

// What may follow a leading byte: how many bytes, and the range of the first of them (Unicode
// Standard, table 3-7). The later ones are 80..BF.
struct Continuation {
  size_t count;
  uint8_t low;
  uint8_t high;
};

Continuation ContinuationOf(uint8_t lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return {1, 0x80, 0xBF};
  if (lead == 0xE0) return {2, 0xA0, 0xBF};
  if (lead == 0xED) return {2, 0x80, 0x9F};
  if (lead >= 0xE1 && lead <= 0xEF) return {2, 0x80, 0xBF};
  if (lead == 0xF0) return {3, 0x90, 0xBF};
  if (lead >= 0xF1 && lead <= 0xF3) return {3, 0x80, 0xBF};
  if (lead == 0xF4) return {3, 0x80, 0x8F};
  return {0, 0, 0};
}

constexpr std::string_view kSpaces[] = {
    " ",      "\t",     "\n",     "\v",     "\f",     "\r",     "\u0085", "\u00A0", "\u1680",
    "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
    "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000",
};

}  // namespace

Utf8Sequence FirstUtf8Sequence(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return {Utf8Kind::kCharacter, 1};
  Continuation next = ContinuationOf(lead);
  if (next.count == 0) return {Utf8Kind::kInvalid, 1};
  for (size_t i = 1; i <= next.count; ++i) {
    if (i == text.size()) return {Utf8Kind::kIncomplete, i};
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < next.low || byte > next.high) return {Utf8Kind::kInvalid, i};
    next.low = 0x80;
    next.high = 0xBF;
  }
  return {Utf8Kind::kCharacter, next.count + 1};
}

size_t LeadingSpaceBytes(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const std::string_view rest = text.substr(bytes);
    const auto* space = std::ranges::find_if(
        kSpaces, [&](std::string_view candidate) { return rest.starts_with(candidate); });
    if (space == std::end(kSpaces)) break;
    bytes += space->size();
  }
  return bytes;
}

size_t AsciiPrefix(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= text.size(); i += sizeof(uint64_t)) {
    uint64_t eight;
    std::memcpy(&eight, text.data() + i, sizeof(eight));
    if ((eight & kHighBits) != 0) break;
  }
  while (i < text.size() && static_cast<uint8_t>(text[i]) < 0x80) ++i;
  return i;
}

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, BeginsCharacter));
}

}  // namespace reprise
