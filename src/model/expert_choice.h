#pragma once

// Which experts a row goes to, and their weights, from the scores that a router gave them. Plain
// f32 in a fixed order, the same on every instruction set. Stateless; any thread.

#include <span>
#include <vector>

#include "kernels/operations.h"
#include "model/model_config.h"

namespace reprise {

// Appends config.chosen choices, the best first (equal scores: the lower number first). `scores`
// [experts] are the router's products and are overwritten; `bias` [experts] or empty is added where
// experts and groups are chosen, not where they are weighed. Of groups, the best by their two best
// experts where there is a bias (DeepSeek-V3), else by their best one (DeepSeek-V2).
void ChooseExperts(const ExpertsConfig& config, std::span<const float> bias,
                   std::span<float> scores, std::vector<ExpertChoice>& choices);

// 1 / (1 + e^-(x · weight)).
float Gate(std::span<const float> x, std::span<const float> weight);

}  // namespace reprise
