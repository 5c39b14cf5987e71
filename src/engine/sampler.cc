#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace reprise {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// A uniform number in [0, 1) with 53 bits, from (seed, index): SplitMix64 (Steele, Lea, Flood
// 2014).
double Uniform(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

std::optional<TokenId> Greedy(std::span<const float> logits) {
  float best = kNever;
  std::optional<TokenId> token;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > best) {  // false for NaN
      best = logits[i];
      token = static_cast<TokenId>(i);
    }
  }
  return token;
}

}  // namespace

Sampler::Sampler(SamplingParameters parameters, std::span<const TokenId> prompt)
    : parameters_(std::move(parameters)) {
  if (parameters_.repetition_penalty != 1.0F) {
    for (TokenId token : prompt) seen_.emplace(token, 1);
  }
}

void Sampler::Penalize() {
  for (const auto& [token, bias] : parameters_.logit_bias) {
    if (static_cast<size_t>(token) < logits_.size()) logits_[token] += bias;
  }
  if (parameters_.repetition_penalty != 1.0F) {
    for (const auto& [token, count] : seen_) {
      float& logit = logits_[token];
      logit = logit > 0 ? logit / parameters_.repetition_penalty
                        : logit * parameters_.repetition_penalty;
    }
  }
  if (parameters_.presence_penalty != 0 || parameters_.frequency_penalty != 0) {
    for (const auto& [token, count] : reply_counts_) {
      logits_[token] -=
          parameters_.presence_penalty + parameters_.frequency_penalty * static_cast<float>(count);
    }
  }
}

void Sampler::Forbid(std::span<const uint32_t> mask) {
  constexpr uint32_t kAll = ~uint32_t{0};
  for (size_t first = 0; first < logits_.size(); first += 32) {
    const uint32_t word = first / 32 < mask.size() ? mask[first / 32] : 0;
    if (word == kAll) continue;  // most are, inside of a text
    const size_t count = std::min<size_t>(32, logits_.size() - first);
    for (size_t i = 0; i < count; ++i) {
      if ((word >> i & 1) == 0) logits_[first + i] = kNever;
    }
  }
}

// candidates_ hold the tokens to draw from; logits are divided by the temperature here.
TokenId Sampler::Draw() {
  const auto descending = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  if (parameters_.top_k > 0 && static_cast<size_t>(parameters_.top_k) < candidates_.size()) {
    std::partial_sort(candidates_.begin(), candidates_.begin() + parameters_.top_k,
                      candidates_.end(), descending);
    candidates_.resize(static_cast<size_t>(parameters_.top_k));
  }
  const float highest =
      std::max_element(candidates_.begin(), candidates_.end(), [&](const auto& a, const auto& b) {
        return descending(b, a);
      })->logit;
  if (parameters_.min_p > 0) {
    const float floor = highest + parameters_.temperature * std::log(parameters_.min_p);
    std::erase_if(candidates_, [floor](const Candidate& c) { return c.logit < floor; });
  }
  // Only top_p needs the order; the draw itself goes through whatever order there is, which is a
  // function of the logits alone.
  if (parameters_.top_p < 1) std::sort(candidates_.begin(), candidates_.end(), descending);
  std::vector<double> weights(candidates_.size());
  double total = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    weights[i] = std::exp(static_cast<double>(candidates_[i].logit - highest) /
                          static_cast<double>(parameters_.temperature));
    total += weights[i];
  }
  size_t kept = candidates_.size();
  if (parameters_.top_p < 1) {
    const double wanted = total * static_cast<double>(parameters_.top_p);
    double sum = 0;
    for (kept = 0; kept < candidates_.size() && (kept == 0 || sum < wanted); ++kept) {
      sum += weights[kept];
    }
    total = sum;
  }
  double point = Uniform(parameters_.seed, drawn_) * total;
  for (size_t i = 0; i < kept; ++i) {
    point -= weights[i];
    if (point < 0) return candidates_[i].token;
  }
  return candidates_[kept - 1].token;
}

std::optional<TokenId> Sampler::Sample(std::span<const float> logits,
                                       std::span<const uint32_t> mask) {
  const bool plain = mask.empty() && parameters_.logit_bias.empty() &&
                     parameters_.repetition_penalty == 1.0F && parameters_.presence_penalty == 0 &&
                     parameters_.frequency_penalty == 0;
  std::optional<TokenId> token;
  if (plain && parameters_.temperature <= 0) {
    token = Greedy(logits);
  } else {
    logits_.assign(logits.begin(), logits.end());
    Penalize();
    if (!mask.empty()) Forbid(mask);
    if (parameters_.temperature <= 0) {
      token = Greedy(logits_);
    } else {
      candidates_.clear();
      for (size_t i = 0; i < logits_.size(); ++i) {
        if (logits_[i] > kNever) candidates_.push_back({static_cast<TokenId>(i), logits_[i]});
      }
      if (!candidates_.empty()) token = Draw();
    }
  }
  if (!token) return std::nullopt;
  ++drawn_;
  Note(*token);
  return token;
}

void Sampler::Note(TokenId token) {
  ++reply_counts_[token];
  if (parameters_.repetition_penalty != 1.0F) seen_.emplace(token, 1);
}

TokenInfo Logprobs(std::span<const float> logits, TokenId chosen, int top) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit - highest));
  const double log_total = std::log(sum) + static_cast<double>(highest);
  const auto logprob = [&](TokenId token) {
    return TokenLogprob{token, static_cast<float>(static_cast<double>(logits[token]) - log_total)};
  };
  TokenInfo info;
  info.chosen = logprob(chosen);
  std::vector<TokenId> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<TokenId>(i);
  const size_t wanted = std::min(static_cast<size_t>(std::max(top, 0)), order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted), order.end(),
      [&](TokenId a, TokenId b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  for (size_t i = 0; i < wanted; ++i) info.top.push_back(logprob(order[i]));
  return info;
}

uint64_t ChecksumLogits(uint64_t checksum, std::span<const float> logits) {
  for (float logit : logits) {
    checksum = (checksum ^ std::bit_cast<uint32_t>(logit)) * 0x100000001B3ULL;
  }
  return checksum;
}

}  // namespace reprise
