#pragma once

// A model with recurrent layers that is no network: its state is a fold of all tokens before it,
// and the K and V of a token are the fold up to it. Logits depend on the state and on every row of
// K and V, so a state or a row that belongs to other tokens changes what is sampled; a state that
// is torn, or not where the sequence says, ends the process.

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "model/model.h"

namespace reprise {

class RecurrentModel final : public Model {
 public:
  RecurrentModel(size_t state_words, int vocabulary, int layers_with_kv) : words_(state_words) {
    config_.architecture = config_.name = "fold";
    config_.layers = 2;
    config_.hidden = 8;
    config_.heads = config_.kv_heads = 1;
    config_.head_dim = 32;
    config_.vocabulary = vocabulary;
    config_.context = 2048;
    config_.active_weights = 1000;
    layout_ = {.layers = layers_with_kv, .kv_heads = 1, .key_dim = 32, .value_dim = 32};
  }

  const ModelConfig& config() const override { return config_; }
  const KvLayout& kv_layout() const override { return layout_; }
  size_t weight_bytes() const override { return 0; }
  size_t state_bytes() const override { return words_ * sizeof(uint64_t); }
  Sha256 kv_identity(const Sha256& content) const override { return content; }

  using Model::Forward;
  void Forward(const Batch& batch, float* logits, float* hidden) override {
    size_t next_logits = 0;
    size_t next_hidden = 0;
    for (const SequenceSpan& span : batch.sequences) {
      uint64_t fold = ReadState(span);
      for (int i = 0; i < span.rows; ++i) {
        const int row = span.first_row + i;
        const auto position = static_cast<size_t>(span.first_position + i);
        fold = Mix(fold, static_cast<uint64_t>(batch.tokens[static_cast<size_t>(row)]) + 1);
        const uint64_t seen = Mix(fold, Attend(span, position, fold));
        if (Wanted(batch.logit_rows, next_logits, row)) {
          Write(seen, config_.vocabulary, logits);
          logits += config_.vocabulary;
        }
        if (Wanted(batch.hidden_rows, next_hidden, row)) {
          Write(seen, config_.hidden, hidden);
          hidden += config_.hidden;
        }
      }
      WriteState(span, fold);
    }
  }

 private:
  static uint64_t Mix(uint64_t a, uint64_t b) {
    const uint64_t mixed = (a ^ b) * 0x9E3779B97F4A7C15ULL;
    return mixed ^ (mixed >> 29);
  }
  static bool Wanted(std::span<const int> rows, size_t& next, int row) {
    if (next == rows.size() || rows[next] != row) return false;
    ++next;
    return true;
  }
  static void Write(uint64_t seen, int count, float* out) {
    for (int i = 0; i < count; ++i) {
      out[i] = static_cast<float>(Mix(seen, static_cast<uint64_t>(i)) >> 40) * 1e-6F;
    }
  }

  // [fold, position] and then words that follow from these.
  uint64_t ReadState(const SequenceSpan& span) const {
    CHECK(span.state != nullptr, "a sequence has a state");
    std::vector<uint64_t> words(words_);
    std::memcpy(words.data(), span.state, state_bytes());
    CHECK(words[1] == static_cast<uint64_t>(span.first_position), "a state of another position");
    for (size_t i = 2; i < words_ && span.first_position > 0; ++i) {
      CHECK(words[i] == Mix(words[0], i), "a state of two sequences");
    }
    return words[0];
  }
  void WriteState(const SequenceSpan& span, uint64_t fold) const {
    std::vector<uint64_t> words(words_);
    words[0] = fold;
    words[1] = static_cast<uint64_t>(span.first_position + span.rows);
    for (size_t i = 2; i < words_; ++i) words[i] = Mix(fold, i);
    std::memcpy(span.state, words.data(), state_bytes());
  }
  // Stores the row's, and folds all rows up to it.
  uint64_t Attend(const SequenceSpan& span, size_t position, uint64_t own) const {
    if (layout_.layers == 0) return 0;
    const auto block_tokens = static_cast<size_t>(layout_.block_tokens);
    const auto row = [&](size_t at) {
      return span.blocks[at / block_tokens] + at % block_tokens * sizeof(uint64_t);
    };
    std::memcpy(row(position), &own, sizeof(own));
    uint64_t sum = 0;
    for (size_t at = 0; at <= position; ++at) {
      uint64_t word = 0;
      std::memcpy(&word, row(at), sizeof(word));
      sum = Mix(sum, word);
    }
    return sum;
  }

  ModelConfig config_;
  KvLayout layout_;
  size_t words_;
};

}  // namespace reprise
