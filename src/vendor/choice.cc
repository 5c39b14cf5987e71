#include "vendor/choice.h"

#include <algorithm>
#include <utility>

#include "vendor/json_reader.h"

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

namespace {

// The reply's tokens as content for a template: a control token that the dialect reads is one again
// in the next prompt, and no text that spells one becomes one.
std::string ContentOfTokens(const std::vector<TokenId>& tokens, const ServedModel& model) {
  std::string content;
  std::string text;
  const auto flush = [&] { content += model.tokenizer->EscapeUserText(std::exchange(text, {})); };
  for (const TokenId token : tokens) {
    if (!model.tokenizer->IsControl(token)) {
      text += model.tokenizer->Piece(token);
    } else if (std::ranges::find(model.shown_control, token) != model.shown_control.end()) {
      flush();
      content += model.tokenizer->Piece(token);
    }
  }
  flush();
  return content;
}

std::string BehindThinking(std::string content, const std::string& end) {
  const size_t at = end.empty() ? std::string::npos : content.find(end);
  if (at == std::string::npos) return content;
  const size_t first = content.find_first_not_of(" \t\r\n", at + end.size());
  return first == std::string::npos ? "" : content.substr(first);
}

}  // namespace

WrittenReply WrittenReplyOf(const Choice& choice, const ServedModel& model) {
  WrittenReply reply;
  reply.text = choice.TextOf(ReplyPart::Kind::kText);
  reply.thinking = choice.TextOf(ReplyPart::Kind::kThinking);
  if (!choice.calls_tools()) return reply;
  for (const ReplyPart& part : choice.parts) {
    if (part.kind != ReplyPart::Kind::kCall || part.state != ReplyPart::State::kWhole) continue;
    reply.calls.push_back({part.call_id, part.name, ParseJson(part.text)->as_object()});
  }
  reply.written = ContentOfTokens(choice.finished->reply, model);
  if (!reply.thinking.empty()) {
    reply.written = BehindThinking(std::move(reply.written), model.dialect.think_end);
  }
  return reply;
}

}  // namespace reprise
