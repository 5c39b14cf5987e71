#include "api/miss_report.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/common_tokens.h"
#include "base/limits.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

using State = PastRequest::State;

bool BeginsCharacter(char byte) { return (byte & 0xC0) != 0x80; }

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, BeginsCharacter));
}

std::string WholeCharacters(std::string_view text) {
  Detokenizer detokenizer;
  std::string whole = detokenizer.Push(text);
  return whole + detokenizer.Finish();
}

bool Ended(const PastRequest& request) {
  return request.state != State::kQueued && request.state != State::kComputing;
}

ShareFate FateOfLoss(LossCause cause) {
  switch (cause) {
    case LossCause::kEvicted:
      return ShareFate::kEvicted;
    case LossCause::kExpired:
      return ShareFate::kExpired;
    case LossCause::kFlushed:
      return ShareFate::kFlushed;
  }
  return ShareFate::kUnknown;
}

// The more it shares the closer; then the sooner it could have been read from; then the later.
auto Closeness(const PastRequest& request, const PastRequest& other, size_t shared) {
  return std::tuple(shared, other.tenant == request.tenant, other.cache_key == request.cache_key,
                    other.cache == CacheUse::kReadAndPublish, other.number);
}

void FindClosest(const History& history, const PastRequest& request, size_t prompt, Seen seen,
                 MissReport& report) {
  const std::vector<TokenId>& tokens = request.prompts[prompt].tokens;
  const auto consider = [&](const PastRequest& other) {
    if (other.number >= request.number) return;
    for (size_t i = 0; i < other.prompts.size(); ++i) {
      const size_t shared = CommonTokens(tokens, other.prompts[i].tokens);
      if (shared == 0) continue;
      if (report.closest != nullptr &&
          Closeness(request, other, shared) <= Closeness(request, *report.closest, report.shared)) {
        continue;
      }
      report.closest = &other;
      report.closest_prompt = i;
      report.shared = shared;
    }
  };
  if (seen == Seen::kAllTenants) {
    history.ForEach(consider);
  } else {
    history.ForEachOf(request.tenant, consider);
  }
}

ShareFate FateOf(const MissReport& report, const PastRequest& request, const PastPrompt& prompt) {
  if (report.closest == nullptr) return ShareFate::kNothingShared;
  // The last token is computed again where the logits behind it were not kept.
  if (report.read >= std::min(report.shared, prompt.tokens.size() - 1)) return ShareFate::kHit;
  const PastRequest& closest = *report.closest;
  if (closest.tenant != request.tenant) return ShareFate::kOtherTenant;
  if (closest.cache_key != request.cache_key) return ShareFate::kOtherCacheKey;
  if (request.cache == CacheUse::kNone) return ShareFate::kNotCached;
  if (prompt.started && prompt.started->lost) return FateOfLoss(prompt.started->lost->cause);
  if (closest.cache == CacheUse::kNone) return ShareFate::kNotCached;
  const std::optional<WallTime>& computed = closest.prompts[report.closest_prompt].computed;
  if (!computed) return Ended(closest) ? ShareFate::kNotCached : ShareFate::kComputing;
  return prompt.looked_up && *computed > *prompt.looked_up ? ShareFate::kComputing
                                                           : ShareFate::kUnknown;
}

// -- Parting places -----------------------------------------------------------------------------

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
  return WholeCharacters(std::string_view(text).substr(begin, end - begin));
}

// The part of `name`, if its text ends right there: what one side says on, the other does not.
std::optional<PartPlace> EndOf(std::span<const Landmark> landmarks, PartName name, size_t at) {
  for (const Landmark& landmark : landmarks) {
    if (landmark.name == name && landmark.text_end == at) {
      return PartPlace{name, at - landmark.text_begin, landmark.text_begin};
    }
  }
  return std::nullopt;
}

PartingPlace::Side ToSide(const PartPlace& place, const std::string& text, size_t at) {
  const size_t offset =
      CountCharacters(std::string_view(text).substr(at - place.offset_bytes, place.offset_bytes));
  return {place.name, offset, ExcerptAround(text, at)};
}

}  // namespace

std::string_view ToText(ShareFate fate) {
  switch (fate) {
    case ShareFate::kHit:
      return "hit";
    case ShareFate::kNothingShared:
      return "nothing_shared";
    case ShareFate::kEvicted:
      return "evicted";
    case ShareFate::kExpired:
      return "expired";
    case ShareFate::kFlushed:
      return "flushed";
    case ShareFate::kOtherCacheKey:
      return "other_cache_key";
    case ShareFate::kOtherTenant:
      return "other_tenant";
    case ShareFate::kNotCached:
      return "not_cached";
    case ShareFate::kComputing:
      return "computing";
    case ShareFate::kUnknown:
      break;
  }
  return "unknown";
}

MissReport ExplainMiss(const History& history, const PastRequest& request, size_t prompt,
                       Seen seen) {
  const PastPrompt& own = request.prompts.at(prompt);
  MissReport report;
  report.read = own.read();
  FindClosest(history, request, prompt, seen, report);
  report.fate = FateOf(report, request, own);
  if (own.started && own.started->lost && report.fate == FateOfLoss(own.started->lost->cause)) {
    report.loss = own.started->lost;
  }
  return report;
}

std::optional<PartingPlace> FindParting(const PastPrompt& ours, const PastPrompt& theirs,
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

  PartPlace our_place = PlaceOf(ours.landmarks, at);
  PartPlace their_place = PlaceOf(theirs.landmarks, at);
  if (our_place.name != their_place.name) {
    if (const auto end = EndOf(ours.landmarks, their_place.name, at)) {
      our_place = *end;
    } else if (const auto other_end = EndOf(theirs.landmarks, our_place.name, at)) {
      their_place = *other_end;
    }
  }
  return PartingPlace{common, ToSide(our_place, our_text.bytes, at),
                      ToSide(their_place, their_text.bytes, at)};
}

PartName PartingPart(const PartingPlace& place) {
  return place.ours.part.kind == PartName::Kind::kEnd ? place.theirs.part : place.ours.part;
}

}  // namespace reprise
