#include "history/divergence.h"

#include <span>
#include <string_view>

#include "base/common_tokens.h"
#include "base/limits.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

std::string ExcerptAround(const std::string& text, size_t at) {
  if (at == text.size()) return {};
  size_t begin = at;
  for (size_t left = limits::kExcerptLead; begin > 0 && left > 0;) {
    if (BeginsCharacter(text[--begin])) --left;
  }
  size_t end = begin;
  for (size_t left = limits::kExcerptCharacters; end < text.size(); ++end) {
    if (BeginsCharacter(text[end]) && left-- == 0) break;
  }
  return ReplaceInvalidUtf8(std::string_view(text).substr(begin, end - begin));
}

// The part of `name`, if its text ends right there: what one side says on, the other does not.
std::optional<PartPlace> EndOf(std::span<const PartSpan> part_spans, PartName name, size_t at) {
  for (const PartSpan& part_span : part_spans) {
    if (part_span.name == name && part_span.text_end == at) {
      return PartPlace{name, at - part_span.text_begin, part_span.text_begin};
    }
  }
  return std::nullopt;
}

Divergence::Side ToSide(const PartPlace& place, const std::string& text, size_t at) {
  const size_t offset =
      CountCharacters(std::string_view(text).substr(at - place.offset_bytes, place.offset_bytes));
  return {place.name, offset, ExcerptAround(text, at)};
}

}  // namespace

std::optional<Divergence> FindDivergence(const DecodedPrompt& our_prompt,
                                         const DecodedPrompt& their_prompt) {
  const PastPrompt& ours = our_prompt.prompt;
  const PastPrompt& theirs = their_prompt.prompt;
  const size_t common = CommonTokens(ours.tokens, theirs.tokens);
  if (common == ours.tokens.size() && common == theirs.tokens.size()) return std::nullopt;
  const PromptText& our_text = our_prompt.text;
  const PromptText& their_text = their_prompt.text;
  const size_t token_begin = our_text.token_begins[common];
  size_t at = token_begin + CommonBytes(std::string_view(our_text.bytes).substr(token_begin),
                                        std::string_view(their_text.bytes).substr(token_begin));
  const auto within = [at](const std::string& text) {
    return at < text.size() && !BeginsCharacter(text[at]);
  };
  if (within(our_text.bytes) || within(their_text.bytes)) {
    while (at > 0 && !BeginsCharacter(our_text.bytes[--at])) {
    }
  }

  PartPlace our_place = PlaceOf(ours.part_spans, at);
  PartPlace their_place = PlaceOf(theirs.part_spans, at);
  if (our_place.name != their_place.name) {
    if (const auto end = EndOf(ours.part_spans, their_place.name, at)) {
      our_place = *end;
    } else if (const auto other_end = EndOf(theirs.part_spans, our_place.name, at)) {
      their_place = *other_end;
    }
  }
  const size_t character = CountCharacters(std::string_view(our_text.bytes).substr(0, at));
  return Divergence{common, at, character, ToSide(our_place, our_text.bytes, at),
                    ToSide(their_place, their_text.bytes, at)};
}

PartName PartOf(const Divergence& place) {
  return place.ours.part.kind == PartName::Kind::kEnd ? place.theirs.part : place.ours.part;
}

}  // namespace reprise
