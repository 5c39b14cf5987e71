#include "model/short_conv_layer.h"

namespace reprise {

void ShortConvLayer::Reserve(int rows) {
  projected_.Reserve(ElementCount(rows, 3 * config_.hidden));
  mixed_.Reserve(ElementCount(rows, config_.hidden));
}

void ShortConvLayer::Run(const LayerConfig& layer, const ShortConvWeights& weights, const float* x,
                         const LayerRows& rows, float* out) {
  const int hidden = config_.hidden;
  Multiply(x, rows.all.count, {{weights.in, projected_.data()}});
  const auto third = [&](int number) {
    return RowsView{projected_.data() + number * hidden, 3 * hidden};
  };
  const ShortConvSpec spec = {
      .channels = hidden, .taps = config_.recurrent.taps, .weight = weights.conv.data()};
  operations_.ShortConv(spec, {.x = third(2), .in_gate = third(0), .out_gate = third(1)},
                        rows.all.sequences, layer.state_offset, mixed_.data());
  if (rows.trimmed()) TakeRows(mixed_.data(), hidden, rows.kept, mixed_.data());
  if (rows.wanted.count > 0) Multiply(mixed_.data(), rows.wanted.count, {{weights.out, out}});
}

}  // namespace reprise
