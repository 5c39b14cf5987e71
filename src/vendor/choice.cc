#include "vendor/choice.h"

#include <algorithm>
#include <utility>

namespace reprise {

bool Choice::Add(const ReplyPiece& piece, std::string call_id) {
  using Kind = ReplyPiece::Kind;
  const auto add_text = [&](ReplyPart::Kind kind) {
    const bool begins = parts.empty() || parts.back().kind != kind;
    if (begins) parts.push_back({.kind = kind});
    parts.back().text += piece.text;
    return begins;
  };
  switch (piece.kind) {
    case Kind::kText:
      return add_text(ReplyPart::Kind::kText);
    case Kind::kThinking:
      return add_text(ReplyPart::Kind::kThinking);
    case Kind::kCall:
      parts.push_back(
          {.kind = ReplyPart::Kind::kCall, .name = piece.text, .call_id = std::move(call_id)});
      return true;
    case Kind::kArguments:
      parts.back().text += piece.text;
      return false;
    case Kind::kCallEnd:
      parts.back().state = ReplyPart::State::kWhole;
      return false;
    case Kind::kCutCall:
      parts.back().state = ReplyPart::State::kCut;
      parts.back().written = piece.text;
      return false;
    case Kind::kNoCall:
      parts.back().state = ReplyPart::State::kNone;
      return add_text(ReplyPart::Kind::kText);
  }
  return false;
}

bool Choice::calls_tools() const {
  return finished && finished->reason == FinishReason::kStop &&
         std::ranges::any_of(parts, [](const ReplyPart& part) {
           return part.is_call() && part.state == ReplyPart::State::kWhole;
         });
}

std::string Choice::TextOf(ReplyPart::Kind kind) const {
  std::string all;
  for (const ReplyPart& part : parts) {
    if (part.kind == kind) all += part.text;
  }
  return all;
}

}  // namespace reprise
