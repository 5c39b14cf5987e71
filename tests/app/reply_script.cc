#include "reply_script.h"

#include <utility>

#include "base/check.h"

namespace reprise {
namespace {

class ScriptedReply final : public TokenConstraint {
 public:
  ScriptedReply(std::vector<TokenId> tokens, size_t vocabulary)
      : tokens_(std::move(tokens)), mask_((vocabulary + 31) / 32) {}

  std::vector<TokenId> TakeForced() override { return {}; }
  Result<std::span<const uint32_t>> Mask() override {
    std::ranges::fill(mask_, 0U);
    const auto token = static_cast<size_t>(tokens_[next_]);
    mask_[token / 32] |= 1U << (token % 32);
    return std::span<const uint32_t>(mask_);
  }
  Status Accept(TokenId token) override {
    CHECK(token == tokens_[next_], "only the script's next token is allowed");
    ++next_;
    return {};
  }
  bool complete() const override { return next_ == tokens_.size(); }

 private:
  const std::vector<TokenId> tokens_;
  size_t next_ = 0;
  std::vector<uint32_t> mask_;
};

}  // namespace

void ReplyScript::Add(std::string reply, bool for_tools) {
  const std::lock_guard lock(mutex_);
  replies_.push_back({std::move(reply), for_tools});
}

void ReplyScript::Apply(bool has_tools, const Tokenizer& tokenizer, GenerationRequest& request) {
  const std::lock_guard lock(mutex_);
  if (replies_.empty() || (replies_.front().for_tools && !has_tools)) return;
  std::vector<TokenId> tokens = tokenizer.Encode(replies_.front().text, {.parse_special = true});
  replies_.pop_front();
  request.max_tokens = std::nullopt;  // it says all of it
  request.constraint =
      std::make_shared<ScriptedReply>(std::move(tokens), tokenizer.vocabulary().tokens.size());
}

size_t ReplyScript::size() const {
  const std::lock_guard lock(mutex_);
  return replies_.size();
}

}  // namespace reprise
