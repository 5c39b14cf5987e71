// A row's attention is the same bit for bit however it came to be computed: alone or in a chunk,
// beside other sequences, on one thread or on several, with or without what comes after it in its
// blocks. Equality, no tolerance.

#include <gtest/gtest.h>

#include <bit>

#include "attention_case.h"
#include "base/sanitizers.h"
#include "kernels/attention.h"

namespace reprise {
namespace {

// A partition and a quarter, not a whole number of blocks.
constexpr int kLength = kPartitionTokens + 131;

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

const AttentionShape kShapes[] = {
    {.heads = 6,
     .kv_heads = 2,
     .key_dim = 40,
     .value_dim = 32,
     .block_tokens = 16,
     .window = 37,
     .soft_cap = 2.0F,
     .has_sinks = true},
    // Windows that begin on either side of a partition's edge in the test of shared prefixes.
    {.heads = 3, .key_dim = 32, .value_dim = 18, .window = 2 * kPartitionTokens + 16},
    {.heads = 3, .kv_heads = 1, .key_dim = 64, .value_dim = 64, .block_tokens = 32},
    {.heads = 5, .kv_heads = 1, .key_dim = 18, .value_dim = 18, .block_tokens = 32},
#if !REPRISE_ADDRESS_SANITIZER  // several times slower, and no other code than those above
    {.heads = 128, .key_dim = 20, .value_dim = 12, .has_sinks = true},  // more than a tile's rows
    {.heads = 3, .block_tokens = 64, .window = 300, .has_sinks = true},
    {.heads = 2, .block_tokens = 512, .window = 700},
    {.heads = 4, .kv_heads = 1, .key_dim = 128, .value_dim = 128, .block_tokens = 16},
    {.heads = 2, .kv_heads = 2, .key_dim = 80, .value_dim = 80, .block_tokens = 64},
#endif
};

template <typename Body>
void ForEachVariantAndShape(Body body) {
  for (const AttentionVariant& variant : AttentionVariants()) {
    for (AttentionShape shape : kShapes) {
      shape.encoding = variant.encoding;
      SCOPED_TRACE(testing::Message() << variant.name << ", " << shape);
      body(variant, shape);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Rows as decode computes them: alone, as soon as their K and V are stored, garbage behind them.
// All of the first blocks, all from the end of the first partition on, and some between.
struct DecodedRow {
  int position;
  std::vector<float> out;
};
std::vector<DecodedRow> Decoded(const AttentionVariant& variant,
                                const AttentionSequence& sequence) {
  std::vector<DecodedRow> rows;
  for (int position = 0; position < sequence.length(); ++position) {
    sequence.Store(position, 1);
    if (position < 70 || position > kPartitionTokens - 8 || position % 11 == 0) {
      rows.push_back({position, sequence.Attend(variant, position, 1)});
    }
  }
  return rows;
}

std::vector<float> Prefilled(const AttentionVariant& variant, const AttentionSequence& sequence) {
  sequence.Store(0, sequence.length());
  return sequence.Attend(variant, 0, sequence.length());
}

// Several spans computed in one call, as the engine batches decode rows and prefill chunks. Returns
// the outputs span by span.
struct Span {
  const AttentionSequence* sequence;
  int first;
  int rows;
};
std::vector<std::vector<float>> AttendTogether(const AttentionVariant& variant,
                                               const std::vector<Span>& spans,
                                               ThreadPool& pool = PoolOf(1)) {
  const AttentionSequence& any = *spans.front().sequence;
  std::vector<float> q;
  std::vector<SequenceSpan> sequences;
  int row = 0;
  for (const Span& span : spans) {
    const auto begin = span.sequence->q().begin() +
                       static_cast<ptrdiff_t>(static_cast<size_t>(span.first) * any.q_row());
    q.insert(q.end(), begin,
             begin + static_cast<ptrdiff_t>(static_cast<size_t>(span.rows) * any.q_row()));
    sequences.push_back({row, span.rows, span.first, span.sequence->blocks()});
    row += span.rows;
  }
  std::vector<float> out(static_cast<size_t>(row) * any.out_row());
  const AttentionSpec spec = any.spec();
  const AttentionCall call = {any.layout(), any.shape().layer, q.data(),
                              spec,         sequences,         out.data()};
  AttentionScratch scratch(pool);
  variant.run(call, scratch);
  std::vector<std::vector<float>> parts;
  auto at = out.begin();
  for (const Span& span : spans) {
    const auto end = at + static_cast<ptrdiff_t>(static_cast<size_t>(span.rows) * any.out_row());
    parts.emplace_back(at, end);
    at = end;
  }
  return parts;
}

std::vector<float> Rows(const AttentionSequence& sequence, const std::vector<float>& all, int first,
                        int rows) {
  const auto begin =
      all.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(first) * sequence.out_row());
  return {begin, begin + static_cast<ptrdiff_t>(static_cast<size_t>(rows) * sequence.out_row())};
}

void ExpectDecodedAsPrefilled(const AttentionVariant& variant, const AttentionSequence& decoded,
                              const AttentionSequence& prefilled) {
  const std::vector<float> all = Prefilled(variant, prefilled);
  for (const DecodedRow& row : Decoded(variant, decoded)) {
    ASSERT_EQ(Bits(row.out), Bits(Rows(prefilled, all, row.position, 1)))
        << "position " << row.position;
  }
}

TEST(ExactOrderTest, RowsDecodedOneByOneEqualOnePrefill) {
  ForEachVariantAndShape([](const AttentionVariant& variant, const AttentionShape& shape) {
    const AttentionSequence decoded(shape, kLength, 11);
    const AttentionSequence prefilled(shape, kLength, 11);
    ExpectDecodedAsPrefilled(variant, decoded, prefilled);
  });
}

TEST(ExactOrderTest, AnyChunkingGivesTheSameRows) {
  ForEachVariantAndShape([](const AttentionVariant& variant, const AttentionShape& shape) {
    const std::vector<uint32_t> expected =
        Bits(Prefilled(variant, AttentionSequence(shape, kLength, 12)));
    for (uint32_t seed = 0; seed < 2; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      std::mt19937 random(seed);
      const AttentionSequence sequence(shape, kLength, 12);
      std::vector<float> out;
      for (int done = 0; done < kLength;) {
        const int largest = 1 << (random() % 9);
        const int rows = std::min(kLength - done, 1 + static_cast<int>(random()) % largest);
        const int chunk = std::max(1, rows);
        sequence.Store(done, chunk);
        const std::vector<float> part = sequence.Attend(variant, done, chunk);
        out.insert(out.end(), part.begin(), part.end());
        done += chunk;
      }
      ASSERT_EQ(Bits(out), expected);
    }
  });
}

TEST(ExactOrderTest, OtherSequencesInTheBatchChangeNothing) {
  ForEachVariantAndShape([](const AttentionVariant& variant, const AttentionShape& shape) {
    const AttentionSequence a(shape, kLength, 21);
    const AttentionSequence b(shape, 77, 22);
    const AttentionSequence c(shape, kPartitionTokens + 1, 23);
    const std::vector<float> alone_a = Prefilled(variant, a);
    const std::vector<float> alone_b = Prefilled(variant, b);
    const std::vector<float> alone_c = Prefilled(variant, c);
    const std::vector<std::vector<float>> parts =
        AttendTogether(variant, {{&b, 76, 1},
                                 {&a, 40, 300},
                                 {&c, kPartitionTokens, 1},
                                 {&b, 0, 0},
                                 {&a, kLength - 1, 1},
                                 {&c, 3, 17}});
    EXPECT_EQ(Bits(parts[0]), Bits(Rows(b, alone_b, 76, 1)));
    EXPECT_EQ(Bits(parts[1]), Bits(Rows(a, alone_a, 40, 300)));
    EXPECT_EQ(Bits(parts[2]), Bits(Rows(c, alone_c, kPartitionTokens, 1)));
    EXPECT_EQ(Bits(parts[4]), Bits(Rows(a, alone_a, kLength - 1, 1)));
    EXPECT_EQ(Bits(parts[5]), Bits(Rows(c, alone_c, 3, 17)));
  });
}

// Long enough that several threads share one sequence by partitions, which one thread never does.
TEST(ExactOrderTest, TheNumberOfThreadsChangesNothing) {
  constexpr int kLong = 4 * kPartitionTokens - 5;
  ForEachVariantAndShape([](const AttentionVariant& variant, const AttentionShape& shape) {
    const AttentionSequence sequence(shape, kLong, 31);
    sequence.Store(0, kLong);
    for (const int rows : {1, 2, 40, 130}) {
      SCOPED_TRACE(testing::Message() << rows << " rows");
      const std::vector<uint32_t> one = Bits(sequence.Attend(variant, kLong - rows, rows));
      for (const int count : {2, 5}) {
        ASSERT_EQ(Bits(sequence.Attend(variant, kLong - rows, rows, PoolOf(count))), one)
            << count << " threads";
      }
    }
  });
}

// What sequences have in common is one tile for all of them. Forty are more than one tile takes; of
// their positions some see a partition to its last key, some not quite; and a stranger in between
// ends a run.
TEST(ExactOrderTest, SharingAPrefixChangesNothing) {
  constexpr int kLong = 3 * kPartitionTokens + 40;
  ForEachVariantAndShape([](const AttentionVariant& variant, const AttentionShape& shape) {
    const AttentionSequence shared(shape, kLong, 51);
    const AttentionSequence stranger(shape, kPartitionTokens + 3, 52);
    shared.Store(0, kLong);
    stranger.Store(0, stranger.length());
    std::vector<Span> spans;
    for (int i = 0; i < 40; ++i) spans.push_back({&shared, kLong - 1 - i, 1});
    spans.push_back({&stranger, kPartitionTokens + 2, 1});
    for (const int edge : {1, 2, 3}) {
      for (const int back : {2, 1, 0}) {
        spans.push_back({&shared, edge * kPartitionTokens - back, 1});
      }
    }
    spans.push_back({&shared, kLong - 9, 9});
    // At one position, where a window may begin close before a partition that all see whole.
    for (int i = 0; i < 20; ++i) spans.push_back({&shared, 3 * kPartitionTokens - 1, 1});
    for (const int count : {1, 2, 5}) {
      const auto together = AttendTogether(variant, spans, PoolOf(count));
      for (size_t i = 0; i < spans.size(); ++i) {
        const std::vector<float> alone =
            spans[i].sequence->Attend(variant, spans[i].first, spans[i].rows);
        ASSERT_EQ(Bits(together[i]), Bits(alone)) << "span " << i << ", " << count << " threads";
      }
    }
  });
}

// Scores far apart and values so small that products with their probabilities underflow to zeros of
// either sign: in a partition's sums as in the weights that bring partitions together. The sign
// must not betray how many keys of probability 0 were added. About the least normal float for
// AVX-512's bf16 products, which take anything smaller for 0; about the least float for the others.
TEST(ExactOrderTest, HoldsWhereSumsUnderflow) {
  ForEachVariantAndShape([](const AttentionVariant& variant, const AttentionShape& shape) {
    for (const float scale : {1e-38F, 1e-40F}) {
      AttentionSequence decoded(shape, kLength, 41);
      AttentionSequence prefilled(shape, kLength, 41);
      decoded.Scale(20.0F, scale);
      prefilled.Scale(20.0F, scale);
      ExpectDecodedAsPrefilled(variant, decoded, prefilled);
    }
  });
}

}  // namespace
}  // namespace reprise
