// The promise of the forward pass: a row's logits are the same, bit for bit, however the work was
// cut up. Equality, no tolerance, on a random tiny model and on the real one, for every instruction
// set of this CPU and both kinds of arithmetic.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "base/sanitizers.h"
#include "kernels/attention.h"
#include "model/gguf.h"
#include "model/model.h"
#include "test_sequence.h"
#include "tiny_model.h"

namespace reprise {
namespace {

using Logits = std::vector<float>;  // [rows, vocabulary]

std::vector<TokenId> RandomTokens(int count, int vocabulary, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<TokenId> tokens(static_cast<size_t>(count));
  for (TokenId& token : tokens) {
    token = static_cast<TokenId>(random() % static_cast<uint64_t>(vocabulary));
  }
  return tokens;
}

// A part of a sequence to be computed in one step.
struct Part {
  std::span<const TokenId> tokens;
  int first_position;
  const TestSequence* sequence;
};

// The logits of every row of `parts`, or of `rows` only.
Logits RunStep(Model& model, const std::vector<Part>& parts,
               std::optional<std::vector<int>> rows = {}) {
  std::vector<TokenId> tokens;
  std::vector<SequenceSpan> spans;
  for (const Part& part : parts) {
    spans.push_back({.first_row = static_cast<int>(tokens.size()),
                     .rows = static_cast<int>(part.tokens.size()),
                     .first_position = part.first_position,
                     .blocks = part.sequence->blocks(),
                     .state = part.sequence->state()});
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
  }
  if (!rows) {
    rows.emplace(tokens.size());
    std::iota(rows->begin(), rows->end(), 0);
  }
  Logits logits(rows->size() * static_cast<size_t>(model.config().vocabulary));
  model.Forward({.tokens = tokens, .sequences = spans, .logit_rows = *rows}, logits.data());
  return logits;
}

// All of `tokens` in chunks of at most `chunk`; logits of every position.
Logits RunInChunks(Model& model, std::span<const TokenId> tokens, size_t chunk,
                   uint64_t noise_seed = 1) {
  const TestSequence sequence(model, static_cast<int>(tokens.size()), noise_seed);
  Logits all;
  for (size_t first = 0; first < tokens.size(); first += chunk) {
    const size_t count = std::min(chunk, tokens.size() - first);
    const Logits logits =
        RunStep(model, {{tokens.subspan(first, count), static_cast<int>(first), &sequence}});
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

// Bitwise; says where the first difference is.
testing::AssertionResult SameBits(const Model& model, std::span<const float> expected,
                                  std::span<const float> actual) {
  if (expected.size() != actual.size()) return testing::AssertionFailure() << "sizes differ";
  const auto vocabulary = static_cast<size_t>(model.config().vocabulary);
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::memcmp(&expected[i], &actual[i], sizeof(float)) != 0) {
      return testing::AssertionFailure() << "row " << i / vocabulary << ", token " << i % vocabulary
                                         << ": " << expected[i] << " and " << actual[i];
    }
  }
  return testing::AssertionSuccess();
}

std::span<const float> Row(const Model& model, const Logits& logits, size_t row) {
  const auto vocabulary = static_cast<size_t>(model.config().vocabulary);
  return std::span(logits).subspan(row * vocabulary, vocabulary);
}

std::string RealModelPath() {
  const char* path = std::getenv("REPRISE_MODEL");
  return path != nullptr ? path : REPRISE_DEFAULT_MODEL;
}

std::unique_ptr<Model> Load(const GgufFile& file, Isa isa, Compute compute, int threads = 2) {
  Result<std::unique_ptr<Model>> model =
      Model::Load(file, {.isa = isa, .compute = compute, .threads = threads, .progress = {}});
  EXPECT_TRUE(model) << model.error().message;
  return model ? std::move(*model) : nullptr;
}

// A tiny model of some kind, or the real one.
using Subject = std::optional<TinyKind>;

std::vector<Subject> EveryTinyKind() { return {std::begin(kTinyKinds), std::end(kTinyKinds)}; }

class Forward : public testing::TestWithParam<std::tuple<Subject, Isa, Compute>> {
 protected:
  void SetUp() override {
    const auto [subject, isa, compute] = GetParam();
    real_ = !subject;
    // It would take minutes, and runs through no other code than the tiny one.
    if (real_ && kAddressSanitizer) GTEST_SKIP() << "too slow under sanitizers";
    if (real_ && !std::filesystem::exists(RealModelPath())) {
      GTEST_SKIP() << "no model at " << RealModelPath() << " (set REPRISE_MODEL)";
    }
    if (real_) {
      Result<GgufFile> file = GgufFile::Open(RealModelPath());
      ASSERT_TRUE(file) << file.error().message;
      file_ = std::make_unique<GgufFile>(std::move(*file));
    } else {
      bytes_ = TinyModel{.kind = *subject}.Make();
      Result<GgufFile> file = GgufFile::Parse(bytes_);
      ASSERT_TRUE(file) << file.error().message;
      file_ = std::make_unique<GgufFile>(std::move(*file));
    }
    model_ = Load(*file_, isa, compute);
    ASSERT_NE(model_, nullptr);
    // More positions than one partition of attention has keys, so that partitions are combined.
    length_ = !real_                                             ? kPartitionTokens + 44
              : isa == Isa::kPlain || compute == Compute::kExact ? 40
                                                                 : 100;
    tokens_ = RandomTokens(length_, model_->config().vocabulary, 7);
  }

  bool real_ = false;
  std::vector<std::byte> bytes_;
  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<Model> model_;
  int length_ = 0;
  std::vector<TokenId> tokens_;
};

TEST_P(Forward, ChunksOfAnySizeChangeNoBit) {
  const Logits whole = RunInChunks(*model_, tokens_, tokens_.size());
  std::vector<size_t> chunks = {1, 3, 31, 32, 33, kPartitionTokens - 1, kPartitionTokens + 1};
  if (real_) chunks = {1, 7, 33};
  // Row by row a tiny model takes minutes under sanitizers too.
  if (kAddressSanitizer) chunks = {33, kPartitionTokens + 1};
  for (size_t chunk : chunks) {
    EXPECT_TRUE(SameBits(*model_, whole, RunInChunks(*model_, tokens_, chunk)))
        << "chunks of " << chunk;
  }
}

TEST_P(Forward, WhatABlockHeldBeforeChangesNoBit) {
  EXPECT_TRUE(SameBits(*model_, RunInChunks(*model_, tokens_, 32, 1),
                       RunInChunks(*model_, tokens_, 32, 2)));
}

TEST_P(Forward, SequencesBesideItChangeNoBit) {
  const Logits alone = RunInChunks(*model_, tokens_, tokens_.size());
  const auto vocabulary = model_->config().vocabulary;
  const int half = length_ / 2;
  const TestSequence subject(*model_, length_, 3);
  std::vector<std::vector<TokenId>> others;
  std::vector<TestSequence> memory;
  for (int length : {1, 5, half, 9}) {
    others.push_back(RandomTokens(length, vocabulary, static_cast<uint64_t>(length)));
    memory.emplace_back(*model_, length + 2, 4);
  }
  // First half and second half of the subject, each between other sequences' prefill and decode.
  const std::span<const TokenId> tokens = tokens_;
  const Logits first = RunStep(*model_, {{others[0], 0, &memory[0]},
                                         {tokens.first(static_cast<size_t>(half)), 0, &subject},
                                         {others[1], 0, &memory[1]}});
  const Logits second =
      RunStep(*model_, {{tokens.subspan(0, 1), 1, &memory[0]},
                        {tokens.subspan(1, 1), 5, &memory[1]},
                        {others[2], 0, &memory[2]},
                        {tokens.subspan(static_cast<size_t>(half)), half, &subject},
                        {others[3], 0, &memory[3]}});
  for (int i = 0; i < length_; ++i) {
    const bool early = i < half;
    const int row = early ? i + 1 : i - half + 2 + half;
    EXPECT_TRUE(SameBits(*model_, Row(*model_, alone, static_cast<size_t>(i)),
                         Row(*model_, early ? first : second, static_cast<size_t>(row))))
        << "position " << i;
  }
}

TEST_P(Forward, RowsWithoutLogitsChangeNoBitOfTheOthers) {
  const Logits whole = RunInChunks(*model_, tokens_, tokens_.size());
  const int last = length_ - 1;
  for (std::vector<int> rows :
       {std::vector<int>{last}, {0}, {0, 1, 2, 17, 18, 33, last}, {5, last - 1}}) {
    const TestSequence sequence(*model_, length_);
    const Logits some = RunStep(*model_, {{tokens_, 0, &sequence}}, rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_TRUE(SameBits(*model_, Row(*model_, whole, static_cast<size_t>(rows[i])),
                           Row(*model_, some, i)))
          << "row " << rows[i] << " of " << rows.size() << " wanted";
    }
  }
}

TEST_P(Forward, PrefillWithoutAnyLogitsLeavesTheSameKAndV) {
  const std::span<const TokenId> tokens = tokens_;
  const Logits whole = RunInChunks(*model_, tokens, tokens.size());
  const TestSequence sequence(*model_, length_);
  RunStep(*model_, {{tokens.first(tokens.size() - 1), 0, &sequence}}, std::vector<int>{});
  const Logits next = RunStep(*model_, {{tokens.last(1), length_ - 1, &sequence}});
  EXPECT_TRUE(SameBits(*model_, Row(*model_, whole, tokens.size() - 1), next));
}

TEST_P(Forward, WantedRowsOfSeveralSequencesKeepTheirPlaces) {
  const std::span<const TokenId> tokens = tokens_;
  const Logits whole = RunInChunks(*model_, tokens, tokens.size());
  const TestSequence a(*model_, length_), b(*model_, length_);
  const Logits some = RunStep(*model_, {{tokens.first(20), 0, &a}, {tokens.first(9), 0, &b}},
                              {{4, 19, 20, 21, 28}});
  const size_t expected[] = {4, 19, 0, 1, 8};
  for (size_t i = 0; i < std::size(expected); ++i) {
    EXPECT_TRUE(SameBits(*model_, Row(*model_, whole, expected[i]), Row(*model_, some, i)));
  }
}

TEST_P(Forward, ThreadsChangeNoBit) {
  const auto [subject, isa, compute] = GetParam();
  const Logits two = RunInChunks(*model_, tokens_, 64);
  const std::unique_ptr<Model> one = Load(*file_, isa, compute, 1);
  ASSERT_NE(one, nullptr);
  EXPECT_TRUE(SameBits(*model_, two, RunInChunks(*one, tokens_, 64)));
  EXPECT_EQ(one->kv_identity({}), model_->kv_identity({}));
}

std::string Name(const testing::TestParamInfo<Forward::ParamType>& info) {
  const auto [subject, isa, compute] = info.param;
  return fmt::format("{}_{}_{}", subject ? TinyKindName(*subject) : "real", IsaName(isa),
                     compute == Compute::kFast ? "fast" : "exact");
}

std::vector<Forward::ParamType> TinyCases() {
  std::vector<Forward::ParamType> cases;
  for (const Subject subject : EveryTinyKind()) {
    for (const Isa isa : OfferedIsas()) {
      cases.emplace_back(subject, isa, Compute::kFast);
      // In f32 there are no tiles, and nothing to emulate. Sanitizers see all kernels in their own
      // tests; what is around them is the same for all.
      const bool seen = kAddressSanitizer && isa != Isa::kPlain && isa != DetectIsa();
      if (isa != Isa::kAmxEmulated && !seen) cases.emplace_back(subject, isa, Compute::kExact);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Tiny, Forward, testing::ValuesIn(TinyCases()), Name);
// The plain loops would take minutes on the real model.
INSTANTIATE_TEST_SUITE_P(Real, Forward,
                         testing::Combine(testing::Values(Subject()), testing::Values(DetectIsa()),
                                          testing::Values(Compute::kFast, Compute::kExact)),
                         Name);

}  // namespace
}  // namespace reprise
