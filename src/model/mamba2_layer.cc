#include "model/mamba2_layer.h"

namespace reprise {
namespace {

ShortConvSpec ConvOf(const RecurrentConfig& shape) {
  return {.channels = shape.convolved(), .taps = shape.taps, .has_silu = true};
}

Mamba2Spec ScanOf(const RecurrentConfig& shape) {
  return {.heads = shape.heads,
          .head_dim = shape.head_dim,
          .groups = shape.groups,
          .d_state = shape.state};
}

}  // namespace

size_t Mamba2Layer::StateBytes(const RecurrentConfig& shape) {
  return ConvOf(shape).StateBytes() + ScanOf(shape).StateBytes();
}

void Mamba2Layer::Reserve(int rows) {
  const RecurrentConfig& shape = config_.recurrent;
  projected_.Reserve(ElementCount(rows, shape.inner() + shape.convolved() + shape.heads));
  convolved_.Reserve(ElementCount(rows, shape.convolved()));
  scanned_.Reserve(ElementCount(rows, shape.inner()));
}

void Mamba2Layer::Run(const LayerConfig& layer, const Mamba2Weights& weights, const float* x,
                      const LayerRows& rows, float* out) {
  const RecurrentConfig& shape = config_.recurrent;
  const int inner = shape.inner();
  const int width = inner + shape.convolved() + shape.heads;
  const int all = rows.all.count;
  Multiply(x, all, {{weights.in, projected_.data()}});
  const auto projected = [&](int first) { return RowsView{projected_.data() + first, width}; };
  const auto convolved = [&](int first) {
    return RowsView{convolved_.data() + first, shape.convolved()};
  };

  ShortConvSpec conv = ConvOf(shape);
  conv.weight = weights.conv.data();
  conv.bias = weights.conv_bias.data();
  operations_.ShortConv(conv, {.x = projected(inner)}, rows.all.sequences, layer.state_offset,
                        convolved_.data());
  Mamba2Spec scan = ScanOf(shape);
  scan.dt_bias = weights.dt_bias.data();
  scan.a = weights.a.data();
  scan.d = weights.d.data();
  operations_.Mamba2Scan(scan,
                         {.x = convolved(0),
                          .b = convolved(inner),
                          .c = convolved(inner + shape.groups * shape.state),
                          .dt = projected(inner + shape.convolved())},
                         rows.all.sequences, layer.state_offset + conv.StateBytes(),
                         scanned_.data());
  const GatedNormSpec norm = {.groups = shape.groups,
                              .columns = inner / shape.groups,
                              .weight = weights.norm,
                              .epsilon = config_.norm_epsilon};
  operations_.GatedRmsNorm(norm, scanned_.data(), projected(0), all, scanned_.data());
  if (rows.trimmed()) TakeRows(scanned_.data(), inner, rows.kept, scanned_.data());
  if (rows.wanted.count > 0) Multiply(scanned_.data(), rows.wanted.count, {{weights.out, out}});
}

}  // namespace reprise
