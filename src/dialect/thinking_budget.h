#pragma once

// Ends a reply's thinking when it has taken as many tokens as the client allows: the mark that ends
// it is then forced, and the model goes on with its answer. One a reply; one thread at a time.

#include <memory>
#include <string>
#include <vector>

#include "dialect/dialect.h"
#include "text/token_constraint.h"
#include "text/tokenizer.h"

namespace reprise {

class ThinkingBudget final : public TokenConstraint {
 public:
  // `inner` is what the reply must follow besides; may be null. REQUIRES: the dialect has marks
  // around thinking; the tokenizer outlives this.
  ThinkingBudget(const Dialect& dialect, const Tokenizer& tokenizer, bool in_thinking, int tokens,
                 std::shared_ptr<TokenConstraint> inner);

  std::vector<TokenId> TakeForced() override;
  Result<std::span<const uint32_t>> Mask() override;
  Status Accept(TokenId token) override;
  bool complete() const override { return inner_ != nullptr && inner_->complete(); }

 private:
  enum class State : uint8_t { kBefore, kThinking, kOver };
  void Follow(TokenId token);

  const std::string begin_, end_;
  const Tokenizer& tokenizer_;
  State state_;
  int left_;
  std::string text_;  // since the last mark
  std::shared_ptr<TokenConstraint> inner_;
};

// Of a finished reply, the tokens that were thinking, with its marks.
int CountThinking(const Dialect& dialect, const Tokenizer& tokenizer, bool in_thinking,
                  const std::vector<TokenId>& reply);

}  // namespace reprise
