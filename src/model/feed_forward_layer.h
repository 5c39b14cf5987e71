#pragma once

// Feed-forward layers, dense and as mixtures of experts. Owned by the engine thread.

#include <vector>

#include "model/expert_choice.h"
#include "model/sublayer.h"

namespace reprise {

class FeedForwardLayer : Sublayer {
 public:
  FeedForwardLayer(const ModelConfig& config, Activation activation, const KvLayout& kv_layout,
                   Operations& operations)
      : Sublayer(config, kv_layout, operations), activation_(activation) {}

  void Reserve(int rows);
  // out[rows, hidden] from x[rows, hidden], normed.
  void Run(const FeedForwardWeights& weights, const float* x, int rows, float* out);
  void Run(const ExpertsWeights& weights, const float* x, int rows, float* out);

 private:
  void AddShared(const ExpertsWeights& weights, const float* x, int rows, float* out);

  Activation activation_;
  FloatBuffer scores_;  // [rows, experts]
  FloatBuffer shared_;  // [rows, hidden]
  std::vector<ExpertChoice> choices_;
};

}  // namespace reprise
