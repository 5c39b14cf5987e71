#pragma once

// Chooses the next token from logits. Order: logit bias, penalties, mask, temperature, top_k,
// min_p, top_p, then one draw. Draws are a function of (seed, index of the reply's token) alone, so
// a sequence that was set aside and taken up again goes on as if nothing had happened.
//
// One per sequence; engine thread.

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "generation/request.h"

namespace reprise {

class Sampler {
 public:
  // `prompt` counts for the repetition penalty only (as in Hugging Face transformers); the presence
  // and frequency penalties look at the reply (as in OpenAI's API).
  Sampler(SamplingParameters parameters, std::span<const TokenId> prompt);

  // logits: [vocabulary]. Equal logits: the lowest id. nullopt when no logit is finite. `mask`: bit
  // t % 32 of word t / 32 says whether token t may be chosen; empty: all may.
  std::optional<TokenId> Sample(std::span<const float> logits, std::span<const uint32_t> mask = {});
  // A token of the reply that was not chosen here.
  void Note(TokenId token);

 private:
  struct Candidate {
    TokenId token;
    float logit;
  };

  void Penalize();
  void Forbid(std::span<const uint32_t> mask);
  TokenId Draw();

  SamplingParameters parameters_;
  std::unordered_map<TokenId, int> reply_counts_;
  std::unordered_map<TokenId, int> seen_;  // prompt and reply; filled for the repetition penalty
  uint64_t drawn_ = 0;
  std::vector<float> logits_;          // scratch, [vocabulary]
  std::vector<Candidate> candidates_;  // scratch
};

// The chosen token's log probability and the `top` most likely, from the raw logits.
TokenInfo Logprobs(std::span<const float> logits, TokenId chosen, int top);

// Continues a checksum over the bits of `logits` (FNV-1a over 32-bit words).
uint64_t ChecksumLogits(uint64_t checksum, std::span<const float> logits);

}  // namespace reprise
