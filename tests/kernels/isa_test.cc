#include <gtest/gtest.h>

#include "kernels/operations.h"

namespace reprise {
namespace {

TEST(IsaTest, AutoIsTheBestThatTheCpuOffers) {
  EXPECT_EQ(ParseIsa("auto"), DetectIsa());
  EXPECT_EQ(ParseIsa(IsaName(DetectIsa())), DetectIsa());
}

TEST(IsaTest, EachKindOfBitsIsNamedAfterItsFirstSet) {
  for (const Isa isa : OfferedIsas()) {
    const Result<Isa> first = ParseIsa(BitsOf(isa));
    ASSERT_TRUE(first);
    EXPECT_LE(*first, isa);
    EXPECT_EQ(BitsOf(*first), BitsOf(isa));
  }
}

TEST(IsaTest, PlainIsOfferedEverywhere) { EXPECT_EQ(ParseIsa("plain"), Isa::kPlain); }

TEST(IsaTest, UnknownNamesAreRefused) {
  for (std::string_view name : {"", "AVX2", "avx", "neon"}) {
    const Result<Isa> isa = ParseIsa(name);
    ASSERT_FALSE(isa);
    EXPECT_EQ(isa.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(IsaTest, OperationsSayWhatTheyWereMadeFor) {
  for (Isa isa : {Isa::kPlain, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512}) {
    for (Compute compute : {Compute::kFast, Compute::kExact}) {
      const Result<std::unique_ptr<Operations>> operations = MakeOperations(isa, compute, 1);
      if (!ParseIsa(IsaName(isa))) {
        ASSERT_FALSE(operations);
        EXPECT_EQ(operations.error().code, ErrorCode::kUnsupported);
        continue;
      }
      ASSERT_TRUE(operations);
      EXPECT_EQ((*operations)->isa(), isa);
      EXPECT_EQ((*operations)->compute(), compute);
      EXPECT_EQ((*operations)->kv_encoding(),
                compute == Compute::kExact ? KvEncoding::kExact : KvEncoding::kFast);
    }
  }
}

}  // namespace
}  // namespace reprise
