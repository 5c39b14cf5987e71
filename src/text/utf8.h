#pragma once

// UTF-8, one character at a time, with Python's idea of what is wrong: a faulty sequence ends
// before the first byte that cannot continue it (the "maximal subpart" of the Unicode
// Standard, 3.9, U+FFFD substitution), so that each such sequence becomes one U+FFFD. Pure
// functions; any thread.

#include <cstddef>
#include <string_view>

namespace reprise {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

enum class Utf8Kind {
  kCharacter,   // a whole character
  kInvalid,     // can never become one
  kIncomplete,  // the text ends within a character
};

struct Utf8Sequence {
  Utf8Kind kind;
  size_t size;  // bytes, at least 1
};

// The sequence that text begins with. REQUIRES: text is not empty.
Utf8Sequence FirstUtf8Sequence(std::string_view text);

// Of valid text.
inline bool BeginsCharacter(char byte) { return (byte & 0xC0) != 0x80; }
size_t CountCharacters(std::string_view text);

// Length of the white space (Unicode's White_Space) that `text` begins with.
size_t LeadingSpaceBytes(std::string_view text);

// Length of the ASCII text that `text` begins with.
size_t AsciiPrefix(std::string_view text);

}  // namespace reprise
