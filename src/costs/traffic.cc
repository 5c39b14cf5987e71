#include "costs/traffic.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace reprise {
namespace {

// Sets of numbers that are joined (union-find).
class Joined {
 public:
  explicit Joined(size_t size) : parents_(size) {
    std::iota(parents_.begin(), parents_.end(), size_t{0});
  }
  size_t Root(size_t of) {
    while (parents_[of] != of) of = parents_[of] = parents_[parents_[of]];
    return of;
  }
  void Join(size_t a, size_t b) { parents_[Root(a)] = Root(b); }

 private:
  std::vector<size_t> parents_;
};

// The places of all prompts, each known by the node and the length of its prefix.
class PlaceTable {
 public:
  explicit PlaceTable(size_t nodes) : of_node_(nodes) {}

  void Add(const std::vector<PrefixPaths::Step>& path, size_t tokens) {
    const auto step = std::ranges::lower_bound(path, tokens, {}, &PrefixPaths::Step::end);
    const auto [place, is_new] = of_node_[step->node].emplace(tokens, next_);
    if (is_new) ++next_;
  }
  // All that lie on a path.
  std::vector<Place> On(const std::vector<PrefixPaths::Step>& path) const {
    std::vector<Place> places;
    for (const PrefixPaths::Step& step : path) {
      for (const auto& [tokens, prefix] : of_node_[step.node]) {
        places.push_back({tokens, prefix, false});
      }
    }
    return places;
  }
  size_t size() const { return next_; }

 private:
  std::vector<std::map<size_t, uint32_t>> of_node_;
  uint32_t next_ = 0;
};

size_t PlaceAt(const std::vector<Place>& places, size_t tokens) {
  return static_cast<size_t>(std::ranges::lower_bound(places, tokens, {}, &Place::tokens) -
                             places.begin());
}

// What lies on its path is a place of it only if one of its blocks ends there, or a mark stood.
void SetPlaces(const SentPrompt& sent, const std::vector<bool>& marked, const PlaceTable& table,
               TrafficPrompt& prompt) {
  prompt.places = table.On(prompt.path);
  const auto end_block = [&](size_t tokens) {
    prompt.places[PlaceAt(prompt.places, tokens)].ends_block = true;
  };
  for (const PartEnd& part : sent.parts) end_block(part.tokens);
  for (const Breakpoint& mark : sent.marks) end_block(mark.tokens);
  std::erase_if(prompt.places,
                [&](const Place& place) { return !place.ends_block && !marked[place.prefix]; });
  for (const PartEnd& part : sent.parts) {
    prompt.parts.push_back({part.name, PlaceAt(prompt.places, part.tokens)});
  }
  for (const Breakpoint& mark : sent.marks) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(mark.ttl);
    prompt.marks.push_back({PlaceAt(prompt.places, mark.tokens), seconds.count()});
  }
}

void SetFamilies(Traffic& traffic) {
  Joined joined(traffic.prefixes);
  for (const TrafficPrompt& prompt : traffic.prompts) {
    for (const Place& place : prompt.places) joined.Join(place.prefix, prompt.places[0].prefix);
  }
  std::map<size_t, size_t> families;
  for (TrafficPrompt& prompt : traffic.prompts) {
    const size_t root = joined.Root(prompt.places[0].prefix);
    prompt.family = families.emplace(root, families.size()).first->second;
  }
  traffic.families = families.size();
}

}  // namespace

Traffic TrafficOf(std::vector<SentPrompt> prompts) {
  std::erase_if(prompts, [](const SentPrompt& prompt) { return prompt.tokens.empty(); });
  std::ranges::stable_sort(prompts, {}, &SentPrompt::time_ms);
  std::vector<std::span<const TokenId>> tokens;
  for (SentPrompt& prompt : prompts) {
    tokens.emplace_back(prompt.tokens);
    if (prompt.parts.empty()) {
      prompt.parts = {{{PartName::Kind::kPrompt, 0}, prompt.tokens.size()}};
    }
  }
  const PrefixPaths paths(tokens);
  PlaceTable table(paths.nodes());
  Traffic traffic{.prompts = std::vector<TrafficPrompt>(prompts.size()), .nodes = paths.nodes()};
  for (size_t i = 0; i < prompts.size(); ++i) {
    TrafficPrompt& prompt = traffic.prompts[i];
    prompt.time_ms = prompts[i].time_ms;
    prompt.tokens = prompts[i].tokens.size();
    prompt.path = paths.PathOf(i);
    for (const Breakpoint& mark : prompts[i].marks) table.Add(prompt.path, mark.tokens);
  }
  const size_t marked_prefixes = table.size();
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (const PartEnd& part : prompts[i].parts) table.Add(traffic.prompts[i].path, part.tokens);
  }
  traffic.prefixes = table.size();
  std::vector<bool> marked(traffic.prefixes, false);
  std::fill_n(marked.begin(), marked_prefixes, true);
  for (size_t i = 0; i < prompts.size(); ++i) {
    SetPlaces(prompts[i], marked, table, traffic.prompts[i]);
  }
  SetFamilies(traffic);
  return traffic;
}

std::vector<PartEnd> PartEndsOf(std::span<const TokenId> tokens,
                                std::span<const PartSpan> part_spans, const Tokenizer& tokenizer) {
  std::vector<PartEnd> ends;
  size_t token = 0;
  size_t bytes = 0;  // of the tokens before `token`
  for (const PartSpan& part_span : part_spans) {
    while (token < tokens.size()) {
      const size_t end = bytes + tokenizer.Piece(tokens[token]).size();
      if (end > part_span.text_end) break;
      bytes = end;
      ++token;
    }
    if (token > (ends.empty() ? 0 : ends.back().tokens)) ends.push_back({part_span.name, token});
  }
  return ends;
}

}  // namespace reprise
