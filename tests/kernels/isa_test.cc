#include <gtest/gtest.h>

#include "kernels/operations.h"
#include "kernels/tile_permission.h"

namespace reprise {
namespace {

TEST(IsaTest, AutoIsTheBestThatTheCpuOffers) {
  EXPECT_EQ(ParseIsa("auto"), DetectIsa());
  EXPECT_EQ(ParseIsa(IsaName(DetectIsa())), DetectIsa());
}

TEST(IsaTest, EmulationGoesWhereAvx512DoesAndIsTakenByNameAlone) {
  EXPECT_EQ(CpuOffers(Isa::kAmxEmulated), CpuOffers(Isa::kAvx512));
  EXPECT_NE(DetectIsa(), Isa::kAmxEmulated);
  EXPECT_EQ(BitsOf(Isa::kAmxEmulated), BitsOf(Isa::kAmx));
  EXPECT_NE(BitsOf(Isa::kAmx), BitsOf(Isa::kAvx512));
}

// A CPU without AMX, and a system that refuses it, are both the set below.
TEST(IsaTest, TilesGoByTheSystemsPermission) {
  EXPECT_EQ(CpuOffers(Isa::kAmx), CpuOffers(Isa::kAvx512) && TilePermission().has_value());
  EXPECT_EQ(DetectIsa() == Isa::kAmx, CpuOffers(Isa::kAmx));
  const Result<Isa> amx = ParseIsa("amx");
  ASSERT_EQ(amx.has_value(), CpuOffers(Isa::kAmx));
  const bool is_refused =
      !TilePermission() && TilePermission().error().code == ErrorCode::kUnsupported;
  EXPECT_EQ(RefusedIsa().empty(), !is_refused);
  if (!amx) {
    EXPECT_EQ(amx.error().code, ErrorCode::kUnsupported);
  }
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
  for (Isa isa :
       {Isa::kPlain, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kAmxEmulated, Isa::kAmx}) {
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
