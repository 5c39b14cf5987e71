#pragma once

// A state space layer (Dao and Gu, arXiv 2405.21060, section 7.1): products to z, x, B, C and dt, a
// short convolution over x, B and C, the scan, a norm gated by z, a product back. Owned by the
// engine thread.

#include "model/sublayer.h"

namespace reprise {

class Mamba2Layer : Sublayer {
 public:
  using Sublayer::Sublayer;

  void Reserve(int rows);
  // As ShortConvLayer::Run.
  void Run(const LayerConfig& layer, const Mamba2Weights& weights, const float* x,
           const LayerRows& rows, float* out);

  // The state of one layer: the convolution's, then the scan's.
  static size_t StateBytes(const RecurrentConfig& shape);

 private:
  FloatBuffer projected_;  // [rows, inner + convolved + heads]
  FloatBuffer convolved_;  // [rows, convolved]
  FloatBuffer scanned_;    // [rows, inner]
};

}  // namespace reprise
