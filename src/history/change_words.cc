#include "history/change_words.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

#include "text/detokenizer.h"

namespace reprise {
namespace {

using ChangeKind = PromptChange::Kind;

std::string Place(const PromptChange& change) {
  if (change.in_system) return "the system text";
  if (change.part.kind == PartName::Kind::kPrompt) return "the prompt";
  return ToText(change.part);
}

std::string Capital(std::string text) {
  if (text[0] >= 'a' && text[0] <= 'z' && !text.contains('[')) text[0] -= 'a' - 'A';
  return text;
}

std::string_view Noun(ValueKind kind) {
  switch (kind) {
    case ValueKind::kClock:
      return "clock";
    case ValueKind::kDate:
      return "date";
    case ValueKind::kIdentifier:
      return "identifier";
    case ValueKind::kCounter:
      return "counter";
    case ValueKind::kNumber:
      return "number";
    case ValueKind::kWords:
      break;
  }
  return "words";
}

std::string BeforeAndNow(const PromptChange& change) {
  return fmt::format("(“{}” before, “{}” now)", ReplaceInvalidUtf8(change.before),
                     ReplaceInvalidUtf8(change.now));
}

std::string MovedOut(const PromptChange& change) {
  return fmt::format("moved {} out of reach", TokensInWords(change.moved_tokens));
}

// What a changing value should stand behind: what lies behind it now and is the same each time.
std::string_view PlaceForValue(const PromptChange& change) {
  if (change.in_system) {
    return "behind the document and whatever else stays the same, best in the last message";
  }
  switch (change.part.kind) {
    case PartName::Kind::kTool:
      return "behind the tools, best in the last message";
    case PartName::Kind::kMessage:
      return "in the last message, behind all that stays the same";
    default:
      return "behind what stays the same, best at the very end";
  }
}

Explanation ExplainValue(const PromptChange& change) {
  if (change.value == ValueKind::kWords) {
    return {fmt::format("A few words that changed in {} {} {}.", Place(change),
                        BeforeAndNow(change), MovedOut(change)),
            fmt::format("If they change often, put them {}.", PlaceForValue(change))};
  }
  return {fmt::format("The {} in {} {} {}.", Noun(change.value), Place(change),
                      BeforeAndNow(change), MovedOut(change)),
          fmt::format("Put the {} {}.", Noun(change.value), PlaceForValue(change))};
}

Explanation ExplainTemplate(const PromptChange& change) {
  return {
      fmt::format("The {} that the model's template writes by itself {} {}.", Noun(change.value),
                  BeforeAndNow(change), MovedOut(change)),
      change.value == ValueKind::kDate || change.value == ValueKind::kClock
          ? "This happens once for each new day or time that the template writes; another "
            "template (--chat-template) can leave it out."
          : "The request sets it by another field than its messages; keep that field the same."};
}

Explanation ExplainEdit(const PromptChange& change) {
  const bool is_message = change.part.kind == PartName::Kind::kMessage && !change.in_system;
  std::string what = fmt::format("{} {}, which {}, the same as before.", Capital(Place(change)),
                                 is_message ? "was written anew" : "was edited", MovedOut(change));
  if (is_message) {
    return {std::move(what),
            "Send earlier messages exactly as they were sent before and add new ones behind them."};
  }
  return {std::move(what),
          "An edit costs this once. If the text is made for each request, put what differs behind "
          "what stays the same."};
}

Explanation ExplainTools(const PromptChange& change) {
  const std::string moved = MovedOut(change);
  const std::string tools = change.count == 1 ? "1 tool" : fmt::format("{} tools", change.count);
  switch (change.kind) {
    case ChangeKind::kToolsReordered:
      return {fmt::format("The tools are the same in another order, which {}.", moved),
              "Send the tools in one fixed order, for instance by name."};
    case ChangeKind::kToolsAdded:
      return {fmt::format("{} put in at {} {}.",
                          change.count == 1 ? "1 tool that was" : tools + " that were",
                          ToText(change.part), moved),
              "Keep the list of tools the same for a whole conversation: tools stand before the "
              "messages. Offer all of them from the start, and say by tool_choice which may be "
              "called."};
    case ChangeKind::kToolsRemoved:
      return {fmt::format("{} left out at {} {}.",
                          change.count == 1 ? "1 tool that was" : tools + " that were",
                          ToText(change.part), moved),
              "Keep the list of tools the same for a whole conversation, and say by tool_choice "
              "which may be called."};
    default:
      return {fmt::format("The tools changed at {}, which {}.", ToText(change.part), moved),
              "Keep names, descriptions and schemas of tools the same between requests."};
  }
}

Explanation ExplainHistory(const PromptChange& change) {
  const std::string messages =
      change.count == 1 ? "1 message" : fmt::format("{} messages", change.count);
  if (change.kind == ChangeKind::kMessagesCut) {
    return {fmt::format("{} left out at {}: the later ones moved forward, which {}.",
                        change.count == 1 ? messages + " was" : messages + " were",
                        ToText(change.part), MovedOut(change)),
            "A window that slides with each turn is never read again: leave out many messages at "
            "once and rarely, or none."};
  }
  return {fmt::format("{} put in at {}, before messages that were there, which {}.",
                      change.count == 1 ? messages + " was" : messages + " were",
                      ToText(change.part), MovedOut(change)),
          "Add messages at the end only; what must be said anew each time belongs there too."};
}

}  // namespace

std::string TokensInWords(size_t tokens) {
  const std::string digits = fmt::format("{}", tokens);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return fmt::format("{} {}", text, tokens == 1 ? "token" : "tokens");
}

std::string DurationInWords(std::chrono::nanoseconds duration) {
  using std::chrono::nanoseconds;
  struct Unit {
    std::string_view name;
    nanoseconds length;
  };
  constexpr std::array<Unit, 4> kUnits = {{{"day", std::chrono::days(1)},
                                           {"hour", std::chrono::hours(1)},
                                           {"minute", std::chrono::minutes(1)},
                                           {"second", std::chrono::seconds(1)}}};
  for (const Unit& unit : kUnits) {
    if (duration < unit.length) continue;
    if (duration % unit.length != nanoseconds(0) && duration < 10 * unit.length &&
        unit.length > std::chrono::seconds(1)) {
      continue;  // "90 minutes" says more than "1 hour"
    }
    const auto count = duration / unit.length;
    return fmt::format("{} {}{}", count, unit.name, count == 1 ? "" : "s");
  }
  return fmt::format("{} ms",
                     std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

Explanation ExplainChange(const PromptChange& change) {
  switch (change.kind) {
    case ChangeKind::kValue:
      return ExplainValue(change);
    case ChangeKind::kTemplate:
      return ExplainTemplate(change);
    case ChangeKind::kEdited:
      return ExplainEdit(change);
    case ChangeKind::kToolsChanged:
    case ChangeKind::kToolsReordered:
    case ChangeKind::kToolsAdded:
    case ChangeKind::kToolsRemoved:
      return ExplainTools(change);
    default:
      return ExplainHistory(change);
  }
}

}  // namespace reprise
