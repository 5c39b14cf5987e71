#pragma once

// Escapes that carry a user's text through a chat template as text, although it spells control
// tokens. They begin with the noncharacter U+FDD0, which no text that means something contains:
//
//   U+FDD0 U+FDD1   a U+FDD0 of the user
//   U+FDD0 U+FDD2   nothing; stands after the first character of what spells a control token, so
//                   that the rendered prompt does not contain the token
//   U+FDD0 U+FDD3   nothing; the next character is text, though it is a control token of its own
//
// What the end of a text begins to spell is escaped too: a template may join it to a text that
// completes it. A template that deletes from the middle of a user's text is not guarded against.
// Pure functions; any thread.

#include <optional>
#include <string>
#include <string_view>

#include "text/token_matcher.h"

namespace reprise {

inline constexpr std::string_view kEscapeMark = "\xEF\xB7\x90";  // U+FDD0; in no control token

std::string EscapeControl(const TokenMatcher& control, std::string_view text);
std::string RemoveEscapes(std::string_view text);

// As TokenMatcher::Find, but passes over what an escape declares text.
std::optional<TokenMatcher::Match> FindUnescaped(const TokenMatcher& control, std::string_view text,
                                                 size_t from);

}  // namespace reprise
