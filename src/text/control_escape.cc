#include "text/control_escape.h"

#include "text/utf8.h"

namespace reprise {
namespace {

constexpr std::string_view kMarkOfUser = "\xEF\xB7\x90\xEF\xB7\x91";
constexpr std::string_view kBreak = "\xEF\xB7\x90\xEF\xB7\x92";
constexpr std::string_view kNextIsText = "\xEF\xB7\x90\xEF\xB7\x93";

}  // namespace

std::string EscapeControl(const TokenMatcher& control, std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  size_t done = 0;  // text[0, done) is in `escaped`
  size_t mark = text.find(kEscapeMark);
  size_t token = control.NextCandidate(text, 0);
  while (mark < text.size() || token < text.size()) {
    if (mark < token) {
      escaped.append(text.substr(done, mark - done)).append(kMarkOfUser);
      done = mark + kEscapeMark.size();
      mark = text.find(kEscapeMark, done);
      if (token < done) token = control.NextCandidate(text, done);
      continue;
    }
    const size_t size = FirstUtf8Sequence(text.substr(token)).size;
    const TokenMatcher::Spelling spelling = control.SpelledAt(text, token, size);
    if (spelling.token_of_size) {
      escaped.append(text.substr(done, token - done)).append(kNextIsText);
      done = token;
    }
    if (spelling.longer) {
      escaped.append(text.substr(done, token + size - done)).append(kBreak);
      done = token + size;
    }
    token = control.NextCandidate(text, token + size);
  }
  return escaped.append(text.substr(done));
}

std::string RemoveEscapes(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  size_t done = 0;
  for (size_t at = text.find(kEscapeMark); at < text.size(); at = text.find(kEscapeMark, done)) {
    const std::string_view rest = text.substr(at);
    plain.append(text.substr(done, at - done));
    done = at + kBreak.size();
    if (rest.starts_with(kBreak) || rest.starts_with(kNextIsText)) continue;
    plain.append(kEscapeMark);
    if (!rest.starts_with(kMarkOfUser)) done = at + kEscapeMark.size();
  }
  if (done < text.size()) plain.append(text.substr(done));
  return plain;
}

std::optional<TokenMatcher::Match> FindUnescaped(const TokenMatcher& control, std::string_view text,
                                                 size_t from) {
  std::optional<TokenMatcher::Match> match = control.Find(text, from);
  while (match && text.substr(0, match->begin).ends_with(kNextIsText)) {
    match = control.Find(text, match->end());
  }
  return match;
}

}  // namespace reprise
