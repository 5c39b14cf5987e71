// Dequantize against the `gguf` Python package (dequantize_fixture.bin, see make_fixtures.py).

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/grids.h"
#include "kernels/operations.h"
#include "kernels/pack_half.h"

namespace reprise {
namespace {

struct FixtureCase {
  WeightType type;
  std::vector<std::byte> data;
  std::vector<float> expected;
};

template <typename T>
std::vector<T> Take(const std::vector<char>& file, size_t& at, size_t count) {
  std::vector<T> values(count);
  std::memcpy(values.data(), file.data() + at, count * sizeof(T));
  at += count * sizeof(T);
  return values;
}

std::vector<FixtureCase> ReadFixture() {
  std::ifstream stream(REPRISE_TEST_FOLDER "/dequantize_fixture.bin", std::ios::binary);
  const std::vector<char> file{std::istreambuf_iterator<char>(stream), {}};
  std::vector<FixtureCase> cases;
  for (size_t at = 0; at < file.size();) {
    const std::vector<uint32_t> header = Take<uint32_t>(file, at, 3);
    FixtureCase one;
    one.type = static_cast<WeightType>(header[0]);
    one.data = Take<std::byte>(file, at, header[1]);
    one.expected = Take<float>(file, at, header[2]);
    cases.push_back(std::move(one));
  }
  return cases;
}

TEST(DequantizeTest, EveryTypeEqualsTheGgufPackage) {
  const std::vector<FixtureCase> cases = ReadFixture();
  ASSERT_EQ(cases.size(), 24u);
  for (const FixtureCase& one : cases) {
    SCOPED_TRACE(WeightTypeName(one.type));
    std::vector<float> out(one.expected.size());
    Dequantize(one.type, one.data.data(), out.size(), out.data());
    EXPECT_EQ(out, one.expected);
  }
}

TEST(DequantizeTest, BlockSizesAreThoseOfTheFixture) {
  for (const FixtureCase& one : ReadFixture()) {
    const Result<WeightBlock> block = WeightBlockOf(static_cast<uint32_t>(one.type));
    ASSERT_TRUE(block);
    EXPECT_EQ(one.data.size() / static_cast<size_t>(block->bytes),
              one.expected.size() / static_cast<size_t>(block->elements));
  }
}

TEST(DequantizeTest, UnknownTypesAreRefusedByNumber) {
  for (uint32_t type : {21000u, 42u, 100u, 0xffffffffu}) {
    const Result<WeightBlock> block = WeightBlockOf(type);
    ASSERT_FALSE(block);
    EXPECT_EQ(block.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(block.error().message.find(std::to_string(type)), std::string::npos);
  }
}

TEST(DequantizeTest, TypesThatAreNotReadAreRefusedByNameWithWhatToTake) {
  const std::pair<uint32_t, std::string> kOthers[] = {
      {4, "Q4_2"}, {9, "Q8_1"}, {31, "Q4_0_4_4"}, {34, "TQ1_0"}, {35, "TQ2_0"}, {40, "NVFP4"}};
  for (const auto& [type, name] : kOthers) {
    const Result<WeightBlock> block = WeightBlockOf(type);
    ASSERT_FALSE(block);
    EXPECT_EQ(block.error().code, ErrorCode::kUnsupported);
    EXPECT_TRUE(block.error().message.starts_with("weights of type " + name + " "))
        << block.error().message;
    EXPECT_NE(block.error().message.find("take a file in Q"), std::string::npos);
  }
}

// Each grid's number of entries, and a hash of them all, as the `gguf` package has them: of entry e
// after hash h, 31 h + e.
TEST(GridTest, GridsHaveTheEntriesOfTheGgufPackage) {
  struct Expected {
    const std::vector<uint16_t>& grid;
    size_t entries;
    uint32_t hash;
  };
  const Expected kGrids[] = {{GridIQ2_XXS(), 256, 0xd4b6b4ff}, {GridIQ2_XS(), 512, 0x176bd4af},
                             {GridIQ2_S(), 1024, 0x67967065},  {GridIQ1(), 2048, 0x37185592},
                             {GridIQ3_XXS(), 256, 0x2a35138e}, {GridIQ3_S(), 512, 0x6fa7d73}};
  for (const Expected& expected : kGrids) {
    uint32_t hash = 0;
    for (const uint16_t entry : expected.grid) hash = 31 * hash + entry;
    EXPECT_EQ(expected.grid.size(), expected.entries);
    EXPECT_EQ(hash, expected.hash) << expected.entries << " entries";
  }
}

TEST(HalfTest, EveryHalfSurvivesTheWayThroughFloat) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else {
      EXPECT_EQ(FloatToHalf(value), half);
    }
  }
}

TEST(HalfTest, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7c00u; ++bits) {
    const float low = HalfToFloat(static_cast<uint16_t>(bits));
    const float high = bits == 0x7bffu ? 65536.0F : HalfToFloat(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    const uint32_t even = bits + (bits & 1u);
    EXPECT_EQ(FloatToHalf(middle), even);
    EXPECT_EQ(FloatToHalf(-middle), even | 0x8000u);
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 0.0F)), bits);
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 1e6F)), bits + 1);
  }
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::max()), 0x7c00u);
}

}  // namespace
}  // namespace reprise
