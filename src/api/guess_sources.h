#pragma once

// What pages call the sources of guesses.

#include <string_view>

#include "engine/engine.h"

namespace reprise {

inline constexpr PerGuessSource<std::string_view> kGuessSourceNames = {"tree", "prediction",
                                                                       "ngram"};

}  // namespace reprise
