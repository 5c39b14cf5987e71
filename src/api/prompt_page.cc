#include "api/prompt_page.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "http/query.h"
#include "text/detokenizer.h"

namespace reprise {
namespace json = boost::json;
namespace {

struct TokenSpan {
  PartName name;
  size_t begin = 0;  // in tokens
  size_t end = 0;
};

// All tokens, by the part that they belong to.
std::vector<TokenSpan> SpansOfTokens(const DecodedPrompt& decoded) {
  const auto& [prompt, text] = decoded;
  std::vector<TokenSpan> spans;
  size_t token = 0;
  for (const PartSpan& part : prompt.part_spans) {
    const size_t end = std::min(text.TokenAt(part.text_end), prompt.tokens.size());
    spans.push_back({part.name, token, std::max(token, end)});
    token = spans.back().end;
  }
  const auto last = prompt.part_spans.empty() ? PartName::Kind::kPrompt : PartName::Kind::kEnd;
  spans.push_back({{last, 0}, token, prompt.tokens.size()});
  return spans;
}

struct Excerpt {
  std::string before, differs, after;
};

// kExcerptLead characters before the place; with what follows, kExcerptCharacters at most.
Excerpt ExcerptOf(std::string_view text, size_t at, size_t end) {
  const auto forward = [text](size_t from, size_t to, size_t& left) {
    while (from < to && (!BeginsCharacter(text[from]) || left-- > 0)) ++from;
    return from;
  };
  size_t begin = at;
  size_t lead = 0;
  while (begin > 0 && lead < limits::kExcerptLead) lead += BeginsCharacter(text[--begin]);
  size_t left = limits::kExcerptCharacters - lead;
  const size_t differs_end = forward(at, end, left);
  const size_t after_end = differs_end < end ? differs_end : forward(end, text.size(), left);
  const auto cut = [text](size_t from, size_t to) {
    return ReplaceInvalidUtf8(text.substr(from, to - from));
  };
  return {cut(begin, at), cut(at, differs_end), cut(differs_end, after_end)};
}

json::object ShowSide(const Divergence::Side& side, std::string_view text, size_t at, size_t end) {
  Excerpt excerpt = ExcerptOf(text, at, end);
  return {{"part", ToText(side.part)},
          {"offset", side.offset},
          {"excerpt", side.excerpt},
          {"before", std::move(excerpt.before)},
          {"differs", std::move(excerpt.differs)},
          {"after", std::move(excerpt.after)},
          {"length", CountCharacters(text.substr(at, end - at))}};
}

}  // namespace

Result<std::optional<WantedText>> ReadWantedText(std::string_view query) {
  if (QueryField(query, "text").value_or("false") != "true") return std::nullopt;
  const Result<size_t> prompt = QueryNumber(query, "prompt", 0);
  if (!prompt) return std::unexpected(prompt.error());
  const Result<size_t> from = QueryNumber(query, "from", 0);
  if (!from) return std::unexpected(from.error());
  return WantedText{*prompt, *from, limits::kMaxShownTokens};
}

json::array ShowParts(const DecodedPrompt& decoded) {
  json::array parts;
  const size_t most = std::min(decoded.prompt.part_spans.size(), limits::kMaxShownParts);
  for (const TokenSpan& span : SpansOfTokens(decoded)) {
    if (parts.size() == most) break;
    parts.push_back({{"part", ToText(span.name)}, {"token", span.begin}});
  }
  return parts;
}

void AddText(const DecodedPrompt& decoded, size_t index, WantedText& wanted, json::object& into) {
  if (index < wanted.prompt) return;
  const auto& [prompt, text] = decoded;
  const size_t begin = index == wanted.prompt ? std::min(wanted.from, prompt.tokens.size()) : 0;
  const size_t end = begin + std::min(wanted.tokens_left, prompt.tokens.size() - begin);
  wanted.tokens_left -= end - begin;
  // Characters that are split over tokens stand whole with the first of them.
  const auto byte_of = [&](size_t token) { return text.CharacterFrom(text.token_begins[token]); };
  json::array shown;
  for (const TokenSpan& span : SpansOfTokens(decoded)) {
    const size_t from = std::max(span.begin, begin), to = std::min(span.end, end);
    if (from >= to) continue;
    const size_t read = std::clamp(prompt.read(), from, to);
    const std::string_view bytes = text.bytes;
    const std::string_view part = bytes.substr(byte_of(from), byte_of(to) - byte_of(from));
    const std::string_view part_read = part.substr(0, byte_of(read) - byte_of(from));
    shown.push_back({{"part", ToText(span.name)},
                     {"token", from},
                     {"tokens", to - from},
                     {"read", read - from},
                     {"read_characters", CountCharacters(part_read)},
                     {"text", ReplaceInvalidUtf8(part)}});
  }
  into["text"] = std::move(shown);
  into["text_next"] = end < prompt.tokens.size() ? json::value(end) : json::value(nullptr);
}

json::object ShowDifference(const PromptText& ours, const PromptText& theirs,
                            const Divergence& place, const PromptChange& change) {
  return {{"token", place.token},
          {"character", place.character},
          {"part", ToText(PartOf(place))},
          {"this", ShowSide(place.ours, ours.bytes, place.at, change.our_end)},
          {"closest", ShowSide(place.theirs, theirs.bytes, place.at, change.their_end)}};
}

}  // namespace reprise
