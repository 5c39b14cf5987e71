#pragma once

// Prompts for tests of costs: parts of as many tokens as is said, equal where their seeds are.

#include <cstdint>
#include <utility>
#include <vector>

#include "costs/price_sheet.h"
#include "costs/traffic.h"

namespace reprise {

struct SentPart {
  PartName::Kind kind = PartName::Kind::kMessage;
  size_t tokens = 0;
  int seed = 0;
};

inline SentPrompt Sent(int64_t time_ms, const std::vector<SentPart>& parts,
                       std::vector<Breakpoint> marks = {}) {
  SentPrompt prompt{.time_ms = time_ms, .marks = std::move(marks)};
  uint32_t indices[3] = {};
  for (const SentPart& part : parts) {
    for (size_t i = 0; i < part.tokens; ++i) {
      prompt.tokens.push_back(part.seed * 100'000 + static_cast<TokenId>(i));
    }
    const uint32_t index = indices[static_cast<size_t>(part.kind)]++;
    prompt.parts.push_back({{part.kind, index}, prompt.tokens.size()});
  }
  return prompt;
}

// Anthropic's usual proportions and rules, and those that OpenAI had before GPT-5.6.
inline const PriceSheet& UsualSheet() { return *FindSheet("Anthropic's usual rule (input = 1)"); }
inline constexpr size_t k5m = 0, k1h = 1;  // lifetimes of the former
inline const PriceSheet& StepSheet() { return *FindSheet("OpenAI's rule for 5 (input = 1)"); }

}  // namespace reprise
