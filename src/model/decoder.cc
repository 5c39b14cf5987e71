#include "model/decoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>

#include "base/check.h"

namespace reprise {
namespace {

size_t Product(int rows, int columns) {
  return static_cast<size_t>(rows) * static_cast<size_t>(columns);
}

// Moves the rows `kept` (ascending) of x[rows, columns] to its beginning, in place.
void Compact(float* x, int columns, std::span<const int> kept) {
  for (size_t i = 0; i < kept.size(); ++i) {
    std::memmove(x + i * static_cast<size_t>(columns), x + Product(kept[i], columns),
                 static_cast<size_t>(columns) * sizeof(float));
  }
}

}  // namespace

void Decoder::RowSet::Clear() {
  count = 0;
  positions.clear();
  sequences.clear();
}

void Decoder::RowSet::Append(const SequenceSpan& sequence, int first, int rows) {
  const int first_position = sequence.first_position + first;
  sequences.push_back({.first_row = count,
                       .rows = rows,
                       .first_position = first_position,
                       .blocks = sequence.blocks});
  for (int i = 0; i < rows; ++i) positions.push_back(first_position + i);
  count += rows;
}

void Decoder::Forward(const Batch& batch, float* logits, float* hidden) {
  CheckBatch(batch);
  ListRows(batch);
  Reserve(all_.count);
  Embed(batch.tokens);
  const int last = parts_.config.layers - 1;
  for (int layer = 0; layer < last; ++layer) RunLayer(layer, all_, all_, {});
  RunLayer(last, all_, wanted_, wanted_rows_);
  if (wanted_.count == 0) return;

  Normalize(x_.data(), wanted_.count, parts_.weights.output_norm, normed_.data());
  CopyHidden(batch.hidden_rows, hidden);
  ComputeLogits(batch.logit_rows, logits);
}

void Decoder::CopyHidden(std::span<const int> rows, float* hidden) const {
  const auto columns = static_cast<size_t>(parts_.config.hidden);
  size_t at = 0;
  for (const int row : rows) {
    while (wanted_rows_[at] != row) ++at;
    std::memcpy(hidden, normed_.data() + at * columns, columns * sizeof(float));
    hidden += columns;
  }
}

void Decoder::ComputeLogits(std::span<const int> rows, float* logits) {
  if (rows.empty()) return;
  if (rows.size() < wanted_rows_.size()) {
    std::vector<int> kept;
    for (size_t at = 0; at < wanted_rows_.size(); ++at) {
      if (std::ranges::binary_search(rows, wanted_rows_[at])) kept.push_back(static_cast<int>(at));
    }
    Compact(normed_.data(), parts_.config.hidden, kept);
  }
  const std::array<const Matrix*, 1> matrices = {&parts_.weights.output_matrix()};
  const std::array<float*, 1> outputs = {logits};
  parts_.operations->MatMul(normed_.data(), static_cast<int>(rows.size()), matrices, outputs);
}

void Decoder::CheckBatch(const Batch& batch) const {
  int next_row = 0;
  for (const SequenceSpan& sequence : batch.sequences) {
    CHECK(sequence.first_row == next_row && sequence.rows > 0,
          "sequences cover a batch's rows in order and without gaps");
    next_row += sequence.rows;
    CHECK(sequence.first_position >= 0, "a position is counted from 0");
    const int end = sequence.first_position + sequence.rows;
    CHECK(sequence.blocks.size() * static_cast<size_t>(parts_.kv_layout.block_tokens) >=
              static_cast<size_t>(end),
          "a sequence has blocks up to its last position");
  }
  CHECK(static_cast<size_t>(next_row) == batch.tokens.size(), "every row belongs to a sequence");
  for (TokenId token : batch.tokens) {
    CHECK(token >= 0 && token < parts_.config.vocabulary, "tokens are within the vocabulary");
  }
  for (const std::span<const int> rows : {batch.logit_rows, batch.hidden_rows}) {
    int previous = -1;
    for (const int row : rows) {
      CHECK(row > previous && row < next_row, "wanted rows ascend within the batch");
      previous = row;
    }
  }
}

// Wanted rows form one span for each run of neighbours in a sequence.
void Decoder::ListRows(const Batch& batch) {
  all_.Clear();
  wanted_.Clear();
  wanted_rows_.clear();
  std::ranges::set_union(batch.logit_rows, batch.hidden_rows, std::back_inserter(wanted_rows_));
  auto row = wanted_rows_.begin();
  for (const SequenceSpan& sequence : batch.sequences) {
    all_.Append(sequence, 0, sequence.rows);
    const int end = sequence.first_row + sequence.rows;
    while (row != wanted_rows_.end() && *row < end) {
      const int first = *row;
      int run = 0;
      while (row != wanted_rows_.end() && *row < end && *row == first + run) {
        ++run;
        ++row;
      }
      wanted_.Append(sequence, first - sequence.first_row, run);
    }
  }
}

void Decoder::Reserve(int rows) {
  if (rows <= reserved_rows_) return;
  reserved_rows_ = rows;
  const ModelConfig& config = parts_.config;
  for (FloatBuffer* buffer : {&x_, &normed_, &projected_}) {
    buffer->Reserve(Product(rows, config.hidden));
  }
  for (FloatBuffer* buffer : {&query_, &attended_}) {
    buffer->Reserve(Product(rows, config.heads * config.head_dim));
  }
  for (FloatBuffer* buffer : {&key_, &value_}) {
    buffer->Reserve(Product(rows, config.kv_heads * config.head_dim));
  }
}

void Decoder::Embed(std::span<const TokenId> tokens) {
  float* row = x_.data();
  for (TokenId token : tokens) {
    parts_.weights.embedding->DequantizeRow(token, row);
    row += parts_.config.hidden;
  }
}

void Decoder::RunLayer(int layer, const RowSet& all, const RowSet& wanted,
                       std::span<const int> kept) {
  const LayerWeights& weights = parts_.weights.layers[static_cast<size_t>(layer)];
  const ModelConfig& config = parts_.config;
  Operations& operations = *parts_.operations;
  QueryKeyValue(weights, all, wanted, kept);
  operations.StoreKv(parts_.kv_layout, layer, key_.data(), value_.data(), all.sequences);
  if (wanted.count == 0) return;

  const AttentionSpec spec = {.heads = config.heads,
                              .scale = 1.0F / std::sqrt(static_cast<float>(config.head_dim))};
  operations.Attention(parts_.kv_layout, layer, query_.data(), spec, wanted.sequences,
                       attended_.data());
  const std::array<const Linear*, 1> output = {&weights.attention_output};
  const std::array<float*, 1> projected = {projected_.data()};
  Multiply(attended_.data(), wanted.count, output, projected);
  AddTo(x_.data(), projected_.data(), wanted.count);
  FeedForward(weights, wanted.count);
}

void Decoder::QueryKeyValue(const LayerWeights& weights, const RowSet& all, const RowSet& wanted,
                            std::span<const int> kept) {
  const ModelConfig& config = parts_.config;
  Normalize(x_.data(), all.count, weights.attention_norm, normed_.data());
  const std::array<const Linear*, 3> linears = {&weights.key, &weights.value, &weights.query};
  const std::array<float*, 3> outputs = {key_.data(), value_.data(), query_.data()};
  if (wanted.count == all.count) {
    Multiply(normed_.data(), all.count, linears, outputs);
  } else {
    Multiply(normed_.data(), all.count, std::span(linears).first(2), std::span(outputs).first(2));
    Compact(normed_.data(), config.hidden, kept);
    Compact(x_.data(), config.hidden, kept);
    if (wanted.count > 0) {
      Multiply(normed_.data(), wanted.count, std::span(linears).last(1),
               std::span(outputs).last(1));
    }
  }
  Operations& operations = *parts_.operations;
  operations.Rope(key_.data(), all.count, config.kv_heads, config.head_dim, config.rope,
                  all.positions);
  if (wanted.count > 0) {
    operations.Rope(query_.data(), wanted.count, config.heads, config.head_dim, config.rope,
                    wanted.positions);
  }
}

void Decoder::FeedForward(const LayerWeights& weights, int rows) {
  Normalize(x_.data(), rows, weights.feed_forward_norm, normed_.data());
  parts_.operations->GatedMatMul(normed_.data(), rows,
                                 {.activation = parts_.architecture->activation,
                                  .gate = weights.gate.weight.get(),
                                  .up = weights.up.weight.get(),
                                  .down = weights.down.weight.get(),
                                  .gate_bias = weights.gate.bias,
                                  .up_bias = weights.up.bias},
                                 projected_.data());
  AddBias(projected_.data(), rows, weights.down);
  AddTo(x_.data(), projected_.data(), rows);
}

void Decoder::Normalize(const float* x, int rows, const std::vector<float>& weight, float* out) {
  switch (parts_.architecture->norm) {
    case Norm::kRms:
      parts_.operations->RmsNorm(x, rows, parts_.config.hidden, weight.data(),
                                 parts_.config.norm_epsilon, out);
      break;
  }
}

void Decoder::Multiply(const float* x, int rows, std::span<const Linear* const> linears,
                       std::span<float* const> ys) {
  std::array<const Matrix*, 3> matrices = {};
  CHECK(linears.size() <= matrices.size(), "at most q, k and v share an input");
  for (size_t i = 0; i < linears.size(); ++i) matrices[i] = linears[i]->weight.get();
  parts_.operations->MatMul(x, rows, std::span(matrices).first(linears.size()), ys);
  for (size_t i = 0; i < linears.size(); ++i) AddBias(ys[i], rows, *linears[i]);
}

void Decoder::AddBias(float* y, int rows, const Linear& linear) {
  const std::vector<float>& bias = linear.bias;
  if (bias.empty()) return;
  for (int row = 0; row < rows; ++row) {
    parts_.operations->Add(y + static_cast<size_t>(row) * bias.size(), bias.data(), bias.size());
  }
}

void Decoder::AddTo(float* x, const float* y, int rows) {
  parts_.operations->Add(x, y, Product(rows, parts_.config.hidden));
}

}  // namespace reprise
