#pragma once

// A gated convolution over the last few positions (LFM2, arXiv 2511.23404, section 2): out · (C ·
// conv(B · x)), with B, C and x products of what goes in. Owned by the engine thread.

#include "model/sublayer.h"

namespace reprise {

class ShortConvLayer : Sublayer {
 public:
  using Sublayer::Sublayer;

  void Reserve(int rows);
  // out[rows.wanted.count, hidden] from x[rows.all.count, hidden], normed. The states of the
  // sequences go on by all rows.
  void Run(const LayerConfig& layer, const ShortConvWeights& weights, const float* x,
           const LayerRows& rows, float* out);

 private:
  FloatBuffer projected_;  // [rows, 3 * hidden]
  FloatBuffer mixed_;      // [rows, hidden]
};

}  // namespace reprise
