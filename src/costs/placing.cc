#include "costs/placing.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/interruption.h"

namespace reprise {
namespace {

using Kind = PartName::Kind;
using Family = std::vector<const TrafficPrompt*>;

// Behind which part: the first of a kind and index, or so many before the last message.
constexpr std::array kSpotNames = {"tools",        "system",       "messages[0]",  "messages[1]",
                                   "messages[-3]", "messages[-2]", "messages[-1]", "prompt"};
using Spots = std::array<std::optional<size_t>, kSpotNames.size()>;  // a place of the prompt

Spots SpotsOf(const TrafficPrompt& prompt) {
  Spots spots;
  std::vector<size_t> messages;
  for (const TrafficPrompt::Part& part : prompt.parts) {
    if (part.name.kind == Kind::kTool) spots[0] = part.place;
    if (part.name.kind == Kind::kSystem) spots[1] = part.place;
    if (part.name.kind == Kind::kMessage) messages.push_back(part.place);
    if (part.name.kind == Kind::kPrompt) spots[7] = part.place;
  }
  const size_t count = messages.size();
  for (size_t i = 0; i < std::min<size_t>(count, 2); ++i) spots[2 + i] = messages[i];
  for (size_t back = 1; back <= std::min<size_t>(count, 3); ++back) {
    spots[7 - back] = messages[count - back];
  }
  return spots;
}

// A placing before it has words: spots in the order of kSpotNames, and their lifetimes.
struct Choice {
  std::vector<std::pair<size_t, size_t>> marks;  // (spot, lifetime)
};

// All prompts of one family under one set of rules.
class FamilySearch {
 public:
  FamilySearch(const Family& family, const CacheRules& rules, MarkPlayer& player)
      : family_(family), rules_(rules), player_(player) {
    for (const TrafficPrompt* prompt : family) spots_.push_back(SpotsOf(*prompt));
    for (size_t spot = 0; spot < kSpotNames.size(); ++spot) {
      if (Tells(spot)) useful_.push_back(spot);
    }
    for (size_t i = 0; i < rules.lifetimes.size(); ++i) lifetimes_.push_back(i);
    std::ranges::stable_sort(lifetimes_, std::greater{},
                             [&](size_t i) { return rules.lifetimes[i].seconds; });
  }

  // Calls take(choice, tokens) for each placing, fewer marks first.
  template <typename Take>
  void ForEach(Take take) {
    const size_t most = family_.size() == 1 ? 0 : rules_.marks;  // nobody would read it
    for (size_t marks = 0; marks <= std::min(most, useful_.size()); ++marks) {
      Choice choice;
      Extend(choice, marks, 0, 0, take);
    }
  }

 private:
  // Some prompt has the spot, and some has it where no spot before it is.
  bool Tells(size_t spot) const {
    return std::ranges::any_of(spots_,
                               [&](const Spots& spots) { return spots[spot].has_value(); }) &&
           std::ranges::none_of(useful_, [&](size_t other) {
             return std::ranges::all_of(
                 spots_, [&](const Spots& spots) { return spots[spot] == spots[other]; });
           });
  }

  // Lifetimes come in the order of lifetimes_, which is that of the places.
  template <typename Take>
  void Extend(Choice& choice, size_t more, size_t spot, size_t lifetime, Take& take) {
    if (more == 0) {
      take(std::as_const(choice), Play(choice));
      return;
    }
    for (size_t i = spot; i + more <= useful_.size(); ++i) {
      for (size_t j = lifetime; j < lifetimes_.size(); ++j) {
        choice.marks.emplace_back(useful_[i], lifetimes_[j]);
        Extend(choice, more - 1, i + 1, j, take);
        choice.marks.pop_back();
      }
    }
  }

  PromptTokens Play(const Choice& choice) {
    if (IsInterrupted()) throw Interrupted();
    PromptTokens all;
    std::vector<PlayedMark> marks;
    for (size_t i = 0; i < family_.size(); ++i) {
      marks.clear();
      for (const auto& [spot, lifetime] : choice.marks) {
        if (spots_[i][spot]) marks.push_back({*spots_[i][spot], lifetime});
      }
      Tidy(marks);
      all += player_.Play(*family_[i], marks);
    }
    player_.Forget();
    return all;
  }

  // By place; of two on one place the one with the longer lifetime, and none longer than one before
  // it: of short prompts, spots counted from both ends cross.
  void Tidy(std::vector<PlayedMark>& marks) const {
    const auto seconds = [&](const PlayedMark& mark) {
      return rules_.lifetimes[mark.lifetime].seconds;
    };
    std::ranges::stable_sort(marks, {}, &PlayedMark::place);
    for (size_t i = marks.size(); i-- > 1;) {
      if (seconds(marks[i - 1]) < seconds(marks[i])) marks[i - 1].lifetime = marks[i].lifetime;
    }
    const auto same = std::ranges::unique(marks, {}, &PlayedMark::place);
    marks.erase(same.begin(), same.end());
  }

  const Family& family_;
  const CacheRules& rules_;
  MarkPlayer& player_;
  std::vector<Spots> spots_;       // of each prompt
  std::vector<size_t> useful_;     // spots
  std::vector<size_t> lifetimes_;  // longest first
};

struct Best {
  double cost = 0;
  std::optional<Placing> placing;
};

Placing Worded(const Choice& choice, const PromptTokens& tokens, size_t requests) {
  Placing placing{.requests = requests, .tokens = tokens};
  for (const auto& [spot, lifetime] : choice.marks) {
    placing.marks.push_back({kSpotNames[spot], lifetime});
  }
  return placing;
}

void Merge(Placing placing, std::vector<Placing>& into) {
  const auto same = std::ranges::find(into, placing.marks, &Placing::marks);
  if (same == into.end()) {
    into.push_back(std::move(placing));
    return;
  }
  same->requests += placing.requests;
  same->tokens += placing.tokens;
}

}  // namespace

std::vector<std::vector<Placing>> CheapestPlacings(const Traffic& traffic,
                                                   const std::vector<const PriceSheet*>& sheets) {
  std::vector<std::vector<Placing>> placings(sheets.size());
  std::vector<Family> families(traffic.families);
  for (const TrafficPrompt& prompt : traffic.prompts) families[prompt.family].push_back(&prompt);
  const CacheRules& rules = sheets.at(0)->rules;
  MarkPlayer player(traffic, rules);
  for (const Family& family : families) {
    std::vector<Best> best(sheets.size());
    FamilySearch(family, rules, player)
        .ForEach([&](const Choice& choice, const PromptTokens& tokens) {
          for (size_t i = 0; i < sheets.size(); ++i) {
            const double cost = CostOf(tokens, *sheets[i]);
            if (best[i].placing && cost >= best[i].cost) continue;
            best[i] = {cost, Worded(choice, tokens, family.size())};
          }
        });
    for (size_t i = 0; i < sheets.size(); ++i) Merge(std::move(*best[i].placing), placings[i]);
  }
  for (std::vector<Placing>& of_sheet : placings) {
    std::ranges::stable_sort(of_sheet, std::greater{},
                             [](const Placing& placing) { return placing.tokens.total; });
  }
  return placings;
}

}  // namespace reprise
