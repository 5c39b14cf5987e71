#include "history/advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "history/change_words.h"

namespace reprise {
namespace {

using std::chrono::nanoseconds;

std::string Ago(nanoseconds ago) {
  return ago < std::chrono::seconds(1) ? "just before"
                                       : fmt::format("{} before", DurationInWords(ago));
}

// What a mark of the earlier request asked for beyond what was read.
std::optional<BreakpointOutcome> MarkBeyond(const ExplainedPrompt& explained, bool accepted) {
  const MissReport& report = explained.report;
  const PastPrompt& closest = report.closest->prompts[report.closest_prompt];
  std::optional<BreakpointOutcome> longest;
  if (!closest.started) return longest;
  for (const BreakpointOutcome& mark : closest.started->breakpoints) {
    if (mark.accepted() != accepted || mark.tokens <= report.read) continue;
    if (!longest || mark.ttl > longest->ttl) longest = mark;
  }
  return longest;
}

// "1,200 tokens of this are the same in req_1, and 16 of them were read. "
std::string SharedAndRead(const ExplainedPrompt& explained) {
  const MissReport& report = explained.report;
  return fmt::format("It begins with the same {} as {}, of which {} read",
                     TokensInWords(report.shared), report.closest->request_id,
                     report.read == 0   ? "none were"
                     : report.read == 1 ? "1 was"
                                        : TokensInWords(report.read) + " were");
}

Explanation ExplainHit(const ExplainedPrompt& explained) {
  const std::optional<PromptChange>& change = explained.change;
  if (change && change->kind != PromptChange::Kind::kGoesOn) return ExplainChange(*change);
  const size_t total = explained.prompt.tokens.size();
  const size_t read = explained.prompt.read();
  if (read + 1 >= total) {
    return {
        fmt::format("The whole prompt was read{}.",
                    read == total ? "" : ", but for the last token, from which the reply begins"),
        std::nullopt};
  }
  const std::string& closest = explained.report.closest->request_id;
  if (read > explained.report.shared) {
    return {
        fmt::format("{} were read, which {} and its reply left in the cache; the {} behind them "
                    "are new.",
                    TokensInWords(read), closest, TokensInWords(total - read)),
        std::nullopt};
  }
  return {fmt::format("All {} that it shares with {} were read; the {} behind them are new.",
                      TokensInWords(read), closest, TokensInWords(total - read)),
          std::nullopt};
}

// The template's first words are in every prompt.
bool SharesWordsOfTheTemplateOnly(const ExplainedPrompt& explained) {
  const auto& spans = explained.prompt.part_spans;
  return explained.change && explained.change->kind == PromptChange::Kind::kGoesOn &&
         !spans.empty() && explained.change->begin <= spans.front().text_begin;
}

Explanation ExplainNothingShared(const ExplainedPrompt& explained) {
  return {fmt::format("No earlier request in the history begins like this one: its {} {} new.",
                      TokensInWords(explained.prompt.tokens.size() - explained.prompt.read()),
                      explained.prompt.read() == 0 ? "are" : "that were computed are"),
          std::nullopt};
}

Explanation ExplainEvicted(const ExplainedPrompt& explained) {
  std::string taker = "for other work";
  if (explained.taker.who == RoomTaker::Who::kRequest) {
    taker = fmt::format("for {}", explained.taker.request_id);
  } else if (explained.taker.who == RoomTaker::Who::kAnotherTenant) {
    taker = "for another tenant's request";
  }
  std::string what = fmt::format("{}: the rest was evicted {}, to make room {}.",
                                 SharedAndRead(explained), Ago(explained.report.loss->ago), taker);
  if (MarkBeyond(explained, false)) {
    return {
        std::move(what),
        "Its mark was not accepted, as promises held all that they may: give --pin-memory more, "
        "or mark less."};
  }
  return {
      std::move(what),
      "Mark what should stay (cache_control), so that it is promised, or give --kv-memory more."};
}

Explanation ExplainExpired(const ExplainedPrompt& explained) {
  const std::string ago = Ago(explained.report.loss->ago);
  if (const auto mark = MarkBeyond(explained, true)) {
    return {fmt::format("{}: the promise of {} on the rest had run out, and it expired {}.",
                        SharedAndRead(explained), DurationInWords(mark->ttl), ago),
            "Mark it with a longer ttl, or ask again before it ends: each request that reads it "
            "begins its time anew."};
  }
  return {fmt::format("{}: the rest had not been used for the time of --retention and expired {}.",
                      SharedAndRead(explained), ago),
          "Mark what is needed longer with a ttl (cache_control), or give --retention more."};
}

Explanation ExplainNotCached(const ExplainedPrompt& explained) {
  const size_t minimum = explained.minimum_tokens;
  const PastRequest& closest = *explained.report.closest;
  const bool own = explained.request.cache == CacheUse::kNone;
  const PastRequest& uncached = own ? explained.request : closest;
  const std::string which = own ? "This request" : closest.request_id;
  if (uncached.cache != CacheUse::kNone) {
    return {fmt::format("{}: {} ended before the rest of it was computed.",
                        SharedAndRead(explained), closest.request_id),
            "Let the first request with a text run until its first token, before it is cancelled."};
  }
  if (std::ranges::all_of(uncached.prompts, [minimum](const PastPrompt& prompt) {
        return prompt.tokens.size() < minimum;
      })) {
    return {fmt::format("{} has fewer tokens than the minimum of {} below which nothing is cached.",
                        which, TokensInWords(minimum)),
            "Lower --cache-minimum-tokens, or send more of what is always the same in front."};
  }
  return {fmt::format("{} asked not to be cached.", which),
          "Leave out “cache_prompt: false”, or set a mark where caching is explicit."};
}

Explanation ExplainNoSnapshot(const ExplainedPrompt& explained) {
  const size_t read = explained.report.read;
  return {fmt::format("{}: K and V of {} are cached, but the state of the model's recurrent layers "
                      "was kept {}.",
                      SharedAndRead(explained),
                      TokensInWords(static_cast<size_t>(explained.prompt.started->known_tokens)),
                      read == 0 ? std::string("nowhere before that")
                                : fmt::format("behind {} and no further", TokensInWords(read))),
          "The next request with this beginning can read it. A mark (cache_control) where requests "
          "part has the state kept there from the first one on."};
}

}  // namespace

Explanation Explain(const ExplainedPrompt& explained) {
  if (explained.report.closest == nullptr) return ExplainNothingShared(explained);
  const std::string shared = SharedAndRead(explained);
  switch (explained.report.outcome) {
    case ReuseOutcome::kHit:
      return SharesWordsOfTheTemplateOnly(explained) ? ExplainNothingShared(explained)
                                                     : ExplainHit(explained);
    case ReuseOutcome::kEvicted:
      return ExplainEvicted(explained);
    case ReuseOutcome::kExpired:
      return ExplainExpired(explained);
    case ReuseOutcome::kFlushed:
      return {fmt::format("{}: an administrator let the rest go {}.", shared,
                          Ago(explained.report.loss->ago)),
              "Nothing in the request has to change: from now on it is read again."};
    case ReuseOutcome::kNoSnapshot:
      return ExplainNoSnapshot(explained);
    case ReuseOutcome::kOtherCacheKey:
      return {fmt::format("{}: the rest is cached under another prompt_cache_key.", shared),
              "Send the same prompt_cache_key with requests that begin alike: with "
              "--cache-key-isolates each key has a cache of its own."};
    case ReuseOutcome::kOtherTenant:
      return {fmt::format("{}, which is another tenant's ({}): tenants share nothing.", shared,
                          explained.report.closest->tenant),
              "If both belong together, give them keys of one tenant in the --api-keys file."};
    case ReuseOutcome::kNotCached:
      return ExplainNotCached(explained);
    case ReuseOutcome::kComputing:
      return {fmt::format("{}: the rest was being computed at the same time.", shared),
              "Send the first request with a text alone, and the others when its first token is "
              "there."};
    case ReuseOutcome::kNothingShared:
    case ReuseOutcome::kUnknown:
      break;
  }
  return {fmt::format("{}: what became of the rest is no longer known.", shared), std::nullopt};
}

}  // namespace reprise
