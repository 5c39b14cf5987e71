#include "dialect/thinking_budget.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "dialect/marks.h"

namespace reprise {
namespace {

std::string_view WithoutSpace(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == text.npos ? "" : text.substr(first);
}

}  // namespace

ThinkingBudget::ThinkingBudget(const Dialect& dialect, const Tokenizer& tokenizer, bool in_thinking,
                               int tokens, std::shared_ptr<TokenConstraint> inner)
    : begin_(dialect.think_begin),
      end_(dialect.think_end),
      tokenizer_(tokenizer),
      state_(in_thinking ? State::kThinking : State::kBefore),
      left_(tokens),
      inner_(std::move(inner)) {}

void ThinkingBudget::Follow(TokenId token) {
  if (state_ == State::kOver) return;
  text_ += tokenizer_.Piece(token);
  if (state_ == State::kBefore) {
    const std::string_view begun = WithoutSpace(text_);
    if (begun.starts_with(begin_)) {
      state_ = State::kThinking;
      text_.erase(0, text_.find(begin_) + begin_.size());
    } else if (!std::string_view(begin_).starts_with(begun)) {
      state_ = State::kOver;
    }
    return;
  }
  --left_;
  if (text_.find(end_) != text_.npos) {
    state_ = State::kOver;
  } else if (text_.size() > 2 * end_.size()) {
    text_.erase(0, text_.size() - end_.size());
  }
}

std::vector<TokenId> ThinkingBudget::TakeForced() {
  std::vector<TokenId> forced;
  if (state_ == State::kThinking && left_ <= 0) {
    forced = tokenizer_.Encode("\n" + end_ + "\n\n", {.parse_special = true});
    state_ = State::kOver;
    for (const TokenId token : forced) {
      if (inner_ != nullptr && !inner_->Accept(token)) break;  // shows again in its Mask()
    }
    return forced;
  }
  if (inner_ != nullptr) forced = inner_->TakeForced();
  for (const TokenId token : forced) Follow(token);
  return forced;
}

Result<std::span<const uint32_t>> ThinkingBudget::Mask() {
  if (inner_ == nullptr) return std::span<const uint32_t>{};
  return inner_->Mask();
}

Status ThinkingBudget::Accept(TokenId token) {
  Follow(token);
  return inner_ == nullptr ? Status{} : inner_->Accept(token);
}

int CountThinking(const Dialect& dialect, const Tokenizer& tokenizer, bool in_thinking,
                  const std::vector<TokenId>& reply) {
  const bool channels = dialect.tools == ToolFormat::kHarmony;
  if (!channels && dialect.think_end.empty()) return 0;
  const std::string begin = channels ? "<|channel|>analysis" : dialect.think_begin;
  const std::string_view end = channels ? marks::kEnd : std::string_view(dialect.think_end);
  bool thinks = in_thinking;
  bool over = false;
  int count = 0;
  std::string text;
  for (const TokenId token : reply) {
    if (over) break;
    text += tokenizer.Piece(token);
    ++count;
    const size_t at = text.find(thinks ? end : std::string_view(begin));
    if (at != text.npos) {
      over = thinks && !channels;
      thinks = !thinks;
      text.clear();
    } else if (!thinks) {
      if (!channels && !std::string_view(begin).starts_with(WithoutSpace(text))) return 0;
      if (channels) --count;
    } else if (text.size() > 2 * end.size()) {
      text.erase(0, text.size() - end.size());
    }
  }
  return thinks || over || channels ? count : 0;
}

}  // namespace reprise
