#include "model/decoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "model/kv_identity.h"

namespace reprise {

Decoder::Decoder(Parts parts)
    : parts_(std::move(parts)),
      attention_(parts_.config, parts_.kv_layout, *parts_.operations),
      latent_attention_(parts_.config, parts_.kv_layout, *parts_.operations),
      short_conv_(parts_.config, parts_.kv_layout, *parts_.operations),
      mamba2_(parts_.config, parts_.kv_layout, *parts_.operations),
      feed_forward_(parts_.config, parts_.architecture->activation, parts_.kv_layout,
                    *parts_.operations) {}

Sha256 Decoder::kv_identity(const Sha256& content) const {
  return KvIdentity({.content = content,
                     .layout = parts_.kv_layout,
                     .isa = parts_.operations->isa(),
                     .compute = parts_.operations->compute(),
                     .long_ropes = parts_.config.long_ropes});
}

void Decoder::Forward(const Batch& batch, float* logits, float* hidden) {
  CheckBatch(batch);
  ListRows(batch);
  Reserve(all_.count);
  Embed(batch.tokens);
  const size_t last = parts_.weights.layers.size() - 1;
  for (size_t layer = 0; layer < last; ++layer) RunLayer(layer, {all_, all_, {}});
  RunLayer(last, {all_, wanted_, wanted_rows_});
  if (wanted_.count == 0) return;

  Normalize(parts_.weights.output_norm, x_.data(), wanted_.count, normed_.data());
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
  const ModelConfig& config = parts_.config;
  if (rows.size() < wanted_rows_.size()) {
    std::vector<int> kept;
    for (size_t at = 0; at < wanted_rows_.size(); ++at) {
      if (std::ranges::binary_search(rows, wanted_rows_[at])) kept.push_back(static_cast<int>(at));
    }
    TakeRows(normed_.data(), config.hidden, kept, normed_.data());
  }
  Operations& operations = *parts_.operations;
  const std::array<const Matrix*, 1> matrices = {&parts_.weights.output_matrix()};
  const std::array<float*, 1> outputs = {logits};
  const int count = static_cast<int>(rows.size());
  operations.MatMul(normed_.data(), count, matrices, outputs);
  const size_t elements = ElementCount(count, config.vocabulary);
  if (config.logit_scale != 1) operations.Scale(logits, config.logit_scale, elements);
  if (config.logit_soft_cap > 0) operations.SoftCap(logits, config.logit_soft_cap, elements);
}

void Decoder::CheckBatch(const Batch& batch) const {
  int next_row = 0;
  for (const SequenceSpan& sequence : batch.sequences) {
    CHECK(sequence.first_row == next_row && sequence.rows > 0,
          "sequences cover a batch's rows in order and without gaps");
    next_row += sequence.rows;
    CHECK(sequence.first_position >= 0, "a position is counted from 0");
    CHECK(parts_.config.state_bytes == 0 || sequence.state != nullptr,
          "a sequence has a state where the model is recurrent");
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
  for (FloatBuffer* buffer : {&x_, &normed_, &added_}) {
    buffer->Reserve(ElementCount(rows, parts_.config.hidden));
  }
  if (parts_.config.latent.rank > 0) {
    latent_attention_.Reserve(rows);
  } else {
    attention_.Reserve(rows);
  }
  if (parts_.config.recurrent.heads > 0) {
    mamba2_.Reserve(rows);
  } else if (parts_.config.recurrent.taps > 0) {
    short_conv_.Reserve(rows);
  }
  feed_forward_.Reserve(rows);
}

void Decoder::Embed(std::span<const TokenId> tokens) {
  const ModelConfig& config = parts_.config;
  float* row = x_.data();
  for (TokenId token : tokens) {
    parts_.weights.embedding->DequantizeRow(token, row);
    row += config.hidden;
  }
  if (config.embedding_scale != 1) {
    parts_.operations->Scale(x_.data(), config.embedding_scale, tokens.size() * config.hidden);
  }
}

void Decoder::RunLayer(size_t layer, const LayerRows& rows) {
  const LayerWeights& weights = parts_.weights.layers[layer];
  const int wanted = rows.wanted.count;
  const bool is_parallel = parts_.architecture->parallel;
  const bool has_mixer = !std::holds_alternative<std::monostate>(weights.mixer);
  const float* normed = Normalize(weights.mixer_norm, x_.data(), rows.all.count, normed_.data());
  if (has_mixer) Mix(parts_.config.layer[layer], weights, normed, rows);
  if (rows.trimmed()) {
    TakeRows(x_.data(), parts_.config.hidden, rows.kept, x_.data());
    if (normed != x_.data()) TakeRows(normed, parts_.config.hidden, rows.kept, normed_.data());
  }
  if (wanted == 0) return;
  if (has_mixer) AddToX(weights.mixer_post_norm, wanted);

  if (std::holds_alternative<std::monostate>(weights.feed_forward)) return;
  if (!is_parallel && has_mixer) {
    normed = Normalize(weights.feed_forward_norm, x_.data(), wanted, normed_.data());
  }
  FeedForward(weights, normed, wanted);
  AddToX(weights.feed_forward_post_norm, wanted);
}

void Decoder::Mix(const LayerConfig& layer, const LayerWeights& weights, const float* x,
                  const LayerRows& rows) {
  float* const out = added_.data();
  if (const auto* attention = std::get_if<AttentionWeights>(&weights.mixer)) {
    attention_.Run(layer, *attention, x, rows, out);
  } else if (const auto* latent = std::get_if<LatentAttentionWeights>(&weights.mixer)) {
    latent_attention_.Run(layer, *latent, x, rows, out);
  } else if (const auto* conv = std::get_if<ShortConvWeights>(&weights.mixer)) {
    short_conv_.Run(layer, *conv, x, rows, out);
  } else {
    mamba2_.Run(layer, std::get<Mamba2Weights>(weights.mixer), x, rows, out);
  }
}

void Decoder::FeedForward(const LayerWeights& weights, const float* x, int rows) {
  if (const auto* dense = std::get_if<FeedForwardWeights>(&weights.feed_forward)) {
    feed_forward_.Run(*dense, x, rows, added_.data());
  } else {
    feed_forward_.Run(std::get<ExpertsWeights>(weights.feed_forward), x, rows, added_.data());
  }
}

const float* Decoder::Normalize(const NormWeights& norm, const float* x, int rows, float* out) {
  if (!norm) return x;
  const ModelConfig& config = parts_.config;
  switch (parts_.architecture->norm) {
    case Norm::kRms:
      parts_.operations->RmsNorm(x, rows, config.hidden, norm.weight.data(), config.norm_epsilon,
                                 out);
      break;
    case Norm::kLayer:
      parts_.operations->LayerNorm(x, rows, config.hidden, norm.weight.data(),
                                   norm.bias.empty() ? nullptr : norm.bias.data(),
                                   config.norm_epsilon, out);
      break;
  }
  return out;
}

void Decoder::AddToX(const NormWeights& post_norm, int rows) {
  const size_t elements = ElementCount(rows, parts_.config.hidden);
  Normalize(post_norm, added_.data(), rows, added_.data());
  if (parts_.config.residual_scale != 1) {
    parts_.operations->Scale(added_.data(), parts_.config.residual_scale, elements);
  }
  parts_.operations->Add(x_.data(), added_.data(), elements);
}

}  // namespace reprise
