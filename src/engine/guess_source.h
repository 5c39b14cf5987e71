#pragma once

// Where a guess at the next tokens of a reply comes from, and counts by it. Plain values.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace reprise {

enum class GuessSource : uint8_t {
  kTree,        // a reply to the same text, in the prefix tree of the same scope
  kPrediction,  // GenerationRequest::prediction
  kNgram,       // the prompt and the reply so far
};
inline constexpr size_t kGuessSources = 3;

// By static_cast<size_t>(GuessSource).
template <typename T>
using PerGuessSource = std::array<T, kGuessSources>;

// As pages and metrics call them.
inline constexpr PerGuessSource<std::string_view> kGuessSourceNames = {"tree", "prediction",
                                                                       "ngram"};

}  // namespace reprise
