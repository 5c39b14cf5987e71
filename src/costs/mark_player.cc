#include "costs/mark_player.h"

#include <algorithm>
#include <optional>

namespace reprise {
namespace {

constexpr int64_t kMsPerSecond = 1000;
constexpr int64_t kNever = std::numeric_limits<int64_t>::min();

PromptTokens PlayPrefixes(const Traffic& traffic, const CacheRules& rules) {
  std::vector<int64_t> ends_ms(traffic.nodes, kNever);
  PromptTokens all;
  for (const TrafficPrompt& prompt : traffic.prompts) {
    all.total += prompt.tokens;
    if (prompt.tokens < rules.minimum) continue;
    size_t shared = 0;
    for (const PrefixPaths::Step& step : prompt.path) {
      if (ends_ms[step.node] <= prompt.time_ms) break;
      shared = step.end;
    }
    const size_t read = shared / rules.step * rules.step;
    if (read >= rules.minimum) all.read += read;
    for (const PrefixPaths::Step& step : prompt.path) {
      ends_ms[step.node] = prompt.time_ms + rules.lifetime_seconds * kMsPerSecond;
    }
  }
  return all;
}

size_t LifetimeFor(int64_t seconds, const CacheRules& rules) {
  std::optional<size_t> best;
  size_t longest = 0;
  for (size_t i = 0; i < rules.lifetimes.size(); ++i) {
    const int64_t offered = rules.lifetimes[i].seconds;
    if (offered > rules.lifetimes[longest].seconds) longest = i;
    if (offered < seconds) continue;
    if (!best || offered < rules.lifetimes[*best].seconds) best = i;
  }
  return best.value_or(longest);
}

}  // namespace

MarkPlayer::MarkPlayer(const Traffic& traffic, const CacheRules& rules)
    : rules_(rules), entries_(traffic.prefixes) {}

size_t MarkPlayer::Find(const TrafficPrompt& prompt, size_t place) const {
  size_t looked_at = 0;
  for (size_t i = place + 1; i-- > 0;) {
    const Place& candidate = prompt.places[i];
    if (candidate.tokens < rules_.minimum) break;
    if (candidate.ends_block && rules_.lookback > 0 && ++looked_at > rules_.lookback) break;
    if (entries_[candidate.prefix].ends_ms > prompt.time_ms) return candidate.tokens;
  }
  return 0;
}

void MarkPlayer::Renew(Entry& entry, int64_t now_ms) const {
  if (rules_.renews) entry.ends_ms = now_ms + entry.lifetime_ms;
}

void MarkPlayer::Keep(const TrafficPrompt& prompt, std::span<const PlayedMark> marks, size_t read) {
  for (const PlayedMark& mark : marks) {
    const Place& place = prompt.places[mark.place];
    if (place.tokens < rules_.minimum) continue;
    Entry& entry = entries_[place.prefix];
    if (place.tokens <= read && entry.ends_ms > prompt.time_ms) {
      Renew(entry, prompt.time_ms);
      continue;
    }
    entry.lifetime_ms = rules_.lifetimes[mark.lifetime].seconds * kMsPerSecond;
    entry.ends_ms = prompt.time_ms + entry.lifetime_ms;
    written_.push_back(place.prefix);
  }
}

PromptTokens MarkPlayer::Play(const TrafficPrompt& prompt, std::span<const PlayedMark> marks) {
  PromptTokens tokens{.total = prompt.tokens};
  for (const PlayedMark& mark : marks) {
    tokens.read = std::max(tokens.read, Find(prompt, mark.place));
  }
  if (tokens.read > 0) {
    const auto read = std::ranges::lower_bound(prompt.places, tokens.read, {}, &Place::tokens);
    Renew(entries_[read->prefix], prompt.time_ms);
  }
  tokens.written.resize(rules_.lifetimes.size());
  std::vector<size_t> longest_first(rules_.lifetimes.size());
  for (size_t i = 0; i < longest_first.size(); ++i) longest_first[i] = i;
  std::ranges::stable_sort(longest_first, std::greater{},
                           [this](size_t i) { return rules_.lifetimes[i].seconds; });
  size_t end = tokens.read;
  for (const size_t lifetime : longest_first) {
    for (const PlayedMark& mark : marks) {
      const size_t at = prompt.places[mark.place].tokens;
      if (mark.lifetime != lifetime || at < rules_.minimum || at <= end) continue;
      tokens.written[lifetime] += at - end;
      end = at;
    }
  }
  Keep(prompt, marks, tokens.read);
  return tokens;
}

void MarkPlayer::Forget() {
  for (const uint32_t prefix : written_) entries_[prefix] = Entry();
  written_.clear();
}

std::vector<PlayedMark> EndMark(const TrafficPrompt& prompt) {
  return {{prompt.parts.back().place, 0}};
}

std::vector<PlayedMark> SentMarks(const TrafficPrompt& prompt, const CacheRules& rules) {
  std::vector<PlayedMark> marks;
  marks.reserve(prompt.marks.size());
  for (const TrafficPrompt::Mark& mark : prompt.marks) {
    marks.push_back({mark.place, LifetimeFor(mark.seconds, rules)});
  }
  const bool marks_the_end = rules.automatic == AutomaticCaching::kMark;
  const size_t room = rules.marks - (marks_the_end ? 1 : 0);
  if (marks.size() > room) marks.erase(marks.begin(), marks.end() - static_cast<ptrdiff_t>(room));
  if (marks_the_end) {
    marks.push_back(EndMark(prompt)[0]);
    std::ranges::stable_sort(marks, {}, &PlayedMark::place);
  }
  return marks;
}

PromptTokens PlayMarks(const Traffic& traffic, const CacheRules& rules,
                       const MarkChoice& marks_of) {
  MarkPlayer player(traffic, rules);
  PromptTokens all;
  for (const TrafficPrompt& prompt : traffic.prompts) {
    all += player.Play(prompt, marks_of(prompt));
  }
  return all;
}

PromptTokens PlayAutomatic(const Traffic& traffic, const CacheRules& rules) {
  if (rules.automatic == AutomaticCaching::kPrefix) return PlayPrefixes(traffic, rules);
  return PlayMarks(traffic, rules, [](const TrafficPrompt& prompt) { return EndMark(prompt); });
}

}  // namespace reprise
