#include "model/expert_choice.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/exp_plain.h"

namespace reprise {
namespace {

float Sigmoid(float x) { return 1.0F / (1.0F + ExpPlain(-x)); }

void Softmax(std::span<float> x) {
  const float largest = *std::ranges::max_element(x);
  float sum = 0;
  for (float& value : x) sum += value = ExpPlain(value - largest);
  for (float& value : x) value /= sum;
}

// The numbers of the `count` largest, the best first; equal ones by their number.
std::vector<int> Largest(std::span<const float> values, int count) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::partial_sort(order, order.begin() + count, [&](int a, int b) {
    const float x = values[static_cast<size_t>(a)];
    const float y = values[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  order.resize(static_cast<size_t>(count));
  return order;
}

// Experts of groups that were not chosen are out of the choice.
void ChooseGroups(const ExpertsConfig& config, bool by_two, std::span<float> merits) {
  const size_t size = merits.size() / static_cast<size_t>(config.groups);
  std::vector<float> of_group;
  for (size_t first = 0; first < merits.size(); first += size) {
    const std::span<const float> group = merits.subspan(first, size);
    float merit = 0;
    for (const int best : Largest(group, by_two && size > 1 ? 2 : 1)) {
      merit += group[static_cast<size_t>(best)];
    }
    of_group.push_back(merit);
  }
  const std::vector<int> chosen = Largest(of_group, config.chosen_groups);
  for (size_t i = 0; i < merits.size(); ++i) {
    if (std::ranges::find(chosen, static_cast<int>(i / size)) == chosen.end()) {
      merits[i] = -std::numeric_limits<float>::infinity();
    }
  }
}

}  // namespace

void ChooseExperts(const ExpertsConfig& config, std::span<const float> bias,
                   std::span<float> scores, std::vector<ExpertChoice>& choices) {
  switch (config.gating) {
    case ExpertsConfig::Gating::kSoftmax:
      Softmax(scores);
      break;
    case ExpertsConfig::Gating::kSigmoid:
      for (float& score : scores) score = Sigmoid(score);
      break;
    case ExpertsConfig::Gating::kSoftmaxOfChosen:
      break;
  }
  std::vector<float> merits(scores.begin(), scores.end());
  for (size_t i = 0; i < bias.size(); ++i) merits[i] += bias[i];
  if (config.groups > 1) ChooseGroups(config, !bias.empty(), merits);

  const std::vector<int> chosen = Largest(merits, config.chosen);
  std::vector<float> weights;
  weights.reserve(chosen.size());
  for (const int expert : chosen) weights.push_back(scores[static_cast<size_t>(expert)]);
  if (config.gating == ExpertsConfig::Gating::kSoftmaxOfChosen) Softmax(weights);
  float factor = config.scale;
  if (config.normalize) {
    factor /= std::max(std::accumulate(weights.begin(), weights.end(), 0.0F), 1e-20F);
  }
  for (size_t i = 0; i < chosen.size(); ++i) {
    choices.push_back({.expert = chosen[i], .weight = weights[i] * factor});
  }
}

float Gate(std::span<const float> x, std::span<const float> weight) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += static_cast<double>(x[i]) * static_cast<double>(weight[i]);
  }
  return Sigmoid(static_cast<float>(sum));
}

}  // namespace reprise
