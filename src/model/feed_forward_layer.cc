#include "model/feed_forward_layer.h"

namespace reprise {

void FeedForwardLayer::Reserve(int rows) {
  if (config_.experts.count == 0) return;
  scores_.Reserve(ElementCount(rows, config_.experts.count));
  if (config_.experts.shared_feed_forward > 0) shared_.Reserve(ElementCount(rows, config_.hidden));
}

void FeedForwardLayer::Run(const FeedForwardWeights& weights, const float* x, int rows,
                           float* out) {
  operations_.GatedMatMul(x, rows, weights.Matrices(activation_), out);
}

void FeedForwardLayer::Run(const ExpertsWeights& weights, const float* x, int rows, float* out) {
  const ExpertsConfig& config = config_.experts;
  Multiply(x, rows, {{weights.router, scores_.data()}});
  choices_.clear();
  for (int row = 0; row < rows; ++row) {
    float* const scores = scores_.data() + ElementCount(row, config.count);
    ChooseExperts(config, weights.choice_bias, {scores, static_cast<size_t>(config.count)},
                  choices_);
  }
  operations_.ExpertsMatMul(x, rows, weights.matrices, choices_, out);
  if (weights.shared.up.weight != nullptr) AddShared(weights, x, rows, out);
}

void FeedForwardLayer::AddShared(const ExpertsWeights& weights, const float* x, int rows,
                                 float* out) {
  const auto hidden = static_cast<size_t>(config_.hidden);
  Run(weights.shared, x, rows, shared_.data());
  for (int row = 0; row < rows && !weights.shared_router.empty(); ++row) {
    const size_t first = ElementCount(row, config_.hidden);
    const float gate = Gate({x + first, hidden}, weights.shared_router);
    operations_.Scale(shared_.data() + first, gate, hidden);
  }
  operations_.Add(out, shared_.data(), ElementCount(rows, config_.hidden));
}

}  // namespace reprise
