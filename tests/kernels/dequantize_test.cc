// Dequantize against the `gguf` Python package (dequantize_fixture.bin, see make_fixtures.py).

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

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
  ASSERT_EQ(cases.size(), 11u);
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
  for (uint32_t type : {4u, 5u, 9u, 10u, 15u, 16u, 29u, 31u, 0xffffffffu}) {
    const Result<WeightBlock> block = WeightBlockOf(type);
    ASSERT_FALSE(block);
    EXPECT_EQ(block.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(block.error().message.find(std::to_string(type)), std::string::npos);
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
