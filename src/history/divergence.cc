#include "history/divergence.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "base/common_tokens.h"
#include "base/limits.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

bool BeginsCharacter(char byte) { return (byte & 0xC0) != 0x80; }

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, BeginsCharacter));
}

struct Text {
  std::string bytes;
  size_t token_begin = 0;  // of the first token that differs
};

Text TextOf(const std::vector<TokenId>& tokens, size_t common, const Tokenizer& tokenizer) {
  Text text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i == common) text.token_begin = text.bytes.size();
    text.bytes += tokenizer.Piece(tokens[i]);
  }
  if (common == tokens.size()) text.token_begin = text.bytes.size();
  return text;
}

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

std::optional<Divergence> FindDivergence(const PastPrompt& ours, const PastPrompt& theirs,
                                         const Tokenizer& tokenizer) {
  const size_t common = CommonTokens(ours.tokens, theirs.tokens);
  if (common == ours.tokens.size() && common == theirs.tokens.size()) return std::nullopt;
  const Text our_text = TextOf(ours.tokens, common, tokenizer);
  const Text their_text = TextOf(theirs.tokens, common, tokenizer);
  const std::string_view our_rest = std::string_view(our_text.bytes).substr(our_text.token_begin);
  const std::string_view their_rest =
      std::string_view(their_text.bytes).substr(their_text.token_begin);
  size_t at =
      our_text.token_begin +
      static_cast<size_t>(std::ranges::mismatch(our_rest, their_rest).in1 - our_rest.begin());
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
  return Divergence{common, ToSide(our_place, our_text.bytes, at),
                    ToSide(their_place, their_text.bytes, at)};
}

PartName PartOf(const Divergence& place) {
  return place.ours.part.kind == PartName::Kind::kEnd ? place.theirs.part : place.ours.part;
}

}  // namespace reprise
