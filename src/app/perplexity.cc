#include "app/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cache/block_pool.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

constexpr int kWindow = 512;
constexpr int kFirstScored = kWindow / 2;  // its logits score the token after it

Result<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Fail(ErrorCode::kNotFound, "cannot read " + path);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return Fail(ErrorCode::kIo, "cannot read " + path);
  if (!IsValidUtf8(content)) return Fail(ErrorCode::kInvalidArgument, path + " is not UTF-8");
  return content;
}

// -log softmax(logits)[token], in double.
double Surprise(std::span<const float> logits, TokenId token) {
  const double largest = static_cast<double>(*std::ranges::max_element(logits));
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return std::log(sum) + largest - static_cast<double>(logits[static_cast<size_t>(token)]);
}

// A model, and blocks for one window that each window fills anew.
class Scorer {
 public:
  static Result<std::unique_ptr<Scorer>> Create(Model& model) {
    const KvLayout& layout = model.kv_layout();
    const int blocks = (kWindow + layout.block_tokens - 1) / layout.block_tokens;
    // Models of recurrent layers only have blocks of nothing.
    const size_t block_bytes = std::max<size_t>(layout.block_bytes(), 1);
    auto pool = BlockPool::Create(static_cast<size_t>(blocks), block_bytes);
    if (!pool) return std::unexpected(pool.error());
    auto state = BlockPool::Create(1, std::max<size_t>(model.state_bytes(), 1));
    if (!state) return std::unexpected(state.error());
    return std::unique_ptr<Scorer>(new Scorer(model, std::move(*pool), std::move(*state), blocks));
  }

  // Sum of the surprises of the window's scored tokens. REQUIRES: kWindow tokens.
  double Score(std::span<const TokenId> window) {
    std::memset(state_->data(state_block_), 0, state_->block_bytes());
    const SequenceSpan span = {
        .first_row = 0,
        .rows = kWindow,
        .first_position = 0,
        .blocks = blocks_,
        .state = model_.state_bytes() > 0 ? state_->data(state_block_) : nullptr};
    const std::span<const SequenceSpan> sequences(&span, 1);
    model_.Forward({.tokens = window, .sequences = sequences, .logit_rows = rows_}, logits_.data());
    const auto vocabulary = static_cast<size_t>(model_.config().vocabulary);
    double sum = 0;
    for (size_t i = 0; i < rows_.size(); ++i) {
      sum += Surprise(std::span(logits_).subspan(i * vocabulary, vocabulary),
                      window[static_cast<size_t>(rows_[i]) + 1]);
    }
    return sum;
  }

  int scored_tokens() const { return static_cast<int>(rows_.size()); }

 private:
  Scorer(Model& model, std::unique_ptr<BlockPool> pool, std::unique_ptr<BlockPool> state,
         int blocks)
      : model_(model),
        pool_(std::move(pool)),
        state_(std::move(state)),
        state_block_(state_->TryAllocate().value()),
        rows_(kWindow - 1 - kFirstScored) {
    for (int i = 0; i < blocks; ++i) blocks_.push_back(pool_->data(pool_->TryAllocate().value()));
    std::iota(rows_.begin(), rows_.end(), kFirstScored);
    logits_.resize(rows_.size() * static_cast<size_t>(model.config().vocabulary));
  }

  Model& model_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<BlockPool> state_;  // of recurrent layers: one
  BlockId state_block_;
  std::vector<std::byte*> blocks_;
  std::vector<int> rows_;
  std::vector<float> logits_;
};

Status Measure(const PerplexityOptions& options) {
  const auto content = ReadText(options.file);
  if (!content) return std::unexpected(content.error());
  const auto file = OpenModel(options.model.path);
  if (!file) return std::unexpected(file.error());
  const auto text = LoadText(*file);
  if (!text) return std::unexpected(text.error());
  const Tokenizer& tokenizer = *text->tokenizer;
  std::vector<TokenId> tokens = tokenizer.Encode(*content, {.add_special = true});
  int windows = static_cast<int>(tokens.size()) / kWindow;
  if (windows == 0) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} has {} tokens, a window needs {}",
                                                         options.file, tokens.size(), kWindow));
  }
  if (options.windows > 0) windows = std::min(windows, options.windows);

  const auto model = LoadModel(*file, options.model);
  if (!model) return std::unexpected(model.error());
  const auto scorer = Scorer::Create(**model);
  if (!scorer) return std::unexpected(scorer.error());
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const SystemClock clock;
  const TimePoint start = clock.Now();
  double sum = 0;
  for (int i = 0; i < windows; ++i) {
    const std::span<TokenId> window =
        std::span(tokens).subspan(static_cast<size_t>(i) * kWindow, kWindow);
    if (vocabulary.add_bos && vocabulary.bos) window[0] = *vocabulary.bos;
    sum += (*scorer)->Score(window);
    const double mean = sum / ((i + 1) * (*scorer)->scored_tokens());
    fmt::print(stderr, "window {} of {}: perplexity so far {:.4f}\n", i + 1, windows,
               std::exp(mean));
  }
  const int scored = windows * (*scorer)->scored_tokens();
  const double seconds = std::chrono::duration<double>(clock.Now() - start).count();
  fmt::print("perplexity {:.4f} ({} windows of {}, {} tokens scored, {:.1f} s, {:.0f} tokens/s)\n",
             std::exp(sum / scored), windows, kWindow, scored, seconds,
             windows * kWindow / seconds);
  return {};
}

}  // namespace

int RunPerplexity(const PerplexityOptions& options) {
  const Status status = Measure(options);
  return status ? 0 : Complain(status.error());
}

}  // namespace reprise
