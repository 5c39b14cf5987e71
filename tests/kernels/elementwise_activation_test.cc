// What a feed-forward layer does between its products, against double precision and, bit for bit,
// against itself beside other elements.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "elementwise_case.h"

namespace reprise {
namespace {

constexpr Activation kGated[] = {Activation::kSilu, Activation::kGelu, Activation::kRelu2,
                                 Activation::kClampedSilu};
constexpr Activation kAlone[] = {Activation::kSilu, Activation::kGelu, Activation::kRelu2};

// The value, and how many of its last places (2^-24) may be wrong: exp within 2 ulp, a sum, a
// quotient, products; e^z with z itself rounded is wrong by |z| as many.
struct Expected {
  double value;
  double places;
};

Expected Alone(Activation activation, double x) {
  switch (activation) {
    case Activation::kSilu:
      return {x / (1 + std::exp(-x)), 8};
    case Activation::kGelu: {
      const double z = std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
      // Cancels for negative x in this form, which doubles bear up to 1e-16 / 2^-24 of 1.
      return {x / 2 * (1 + std::tanh(z)), 8 + 10 * std::abs(z)};
    }
    case Activation::kRelu2:
      return {x > 0 ? x * x : 0, 2};
    case Activation::kClampedSilu:
      return {std::min(x, 7.0) / (1 + std::exp(-1.702 * std::min(x, 7.0))), 10 + 4 * std::abs(x)};
  }
  return {};
}

Expected Gated(Activation activation, double gate, double up) {
  Expected expected = Alone(activation, gate);
  if (activation != Activation::kClampedSilu) return {expected.value * up, expected.places + 2};
  const double clamped = std::clamp(up, -7.0, 7.0);
  // up + 1 is exact to 2^-24 of the larger of the two.
  return {expected.value * (clamped + 1), expected.places + 2};
}

std::vector<float> Gates() {
  std::vector<float> gates = RandomFloats(1003, 8);
  for (size_t i = 0; i < gates.size(); i += 3) gates[i] *= 30.0F;
  for (size_t i = 1; i < gates.size(); i += 7) gates[i] *= 1e-4F;
  gates[0] = -200.0F;
  gates[1] = 200.0F;
  gates[2] = 0.0F;
  return gates;
}

void ExpectNear(float got, const Expected& expected, double floor) {
  ASSERT_NEAR(static_cast<double>(got), expected.value,
              std::abs(expected.value) * expected.places * std::ldexp(1.0, -24) + floor);
}

TEST(ActivationTest, IsNearTheReferenceAlsoWhereItSaturates) {
  const std::vector<float> gates = Gates();
  std::vector<float> ups = RandomFloats(gates.size(), 9);
  for (size_t i = 0; i < ups.size(); i += 5) ups[i] *= 10.0F;
  for (const Variant& variant : Variants()) {
    for (const Activation activation : kGated) {
      std::vector<float> out = gates;
      variant.kernels.activate_gated(activation, out.data(), ups.data(),
                                     static_cast<int64_t>(out.size()));
      for (size_t i = 0; i < gates.size(); ++i) {
        SCOPED_TRACE(testing::Message() << variant.name << ", activation "
                                        << static_cast<int>(activation) << " of " << gates[i]);
        const double u = static_cast<double>(ups[i]);
        // Results below 1e-36 may be 0; 1 + tanh has 2^-53 of 1; so has u + 1 2^-24 of 1.
        double floor = 1e-36;
        if (activation == Activation::kGelu) floor = 1e-15 * std::abs(u * (1.0 + gates[i]));
        if (activation == Activation::kClampedSilu) floor = 8 * std::ldexp(1.0, -24);
        ExpectNear(out[i], Gated(activation, static_cast<double>(gates[i]), u), floor);
      }
    }
    for (const Activation activation : kAlone) {
      std::vector<float> out = gates;
      variant.kernels.activate(activation, out.data(), static_cast<int64_t>(out.size()));
      for (size_t i = 0; i < gates.size(); ++i) {
        SCOPED_TRACE(testing::Message() << variant.name << ", activation "
                                        << static_cast<int>(activation) << " of " << gates[i]);
        const double floor =
            activation == Activation::kGelu ? 1e-15 * std::abs(1.0 + gates[i]) : 1e-36;
        ExpectNear(out[i], Alone(activation, static_cast<double>(gates[i])), floor);
      }
    }
  }
}

// Values of the definitions (operations.h), computed apart in Python.
TEST(ActivationTest, HasTheValuesOfItsDefinition) {
  for (const Variant& variant : Variants()) {
    float gelu[] = {-3.0F, -0.5F, 0.1F, 1.0F, 2.5F};
    variant.kernels.activate(Activation::kGelu, gelu, std::size(gelu));
    const float gelus[] = {-0.003637392F, -0.154286F, 0.05398275F, 0.841192F, 2.484916F};
    for (size_t i = 0; i < std::size(gelu); ++i) EXPECT_NEAR(gelu[i], gelus[i], 1e-6F);
    float gate[] = {-3.0F, -0.5F, 0.1F, 1.0F, 9.0F};
    const float up[] = {0.25F, -1.0F, 8.0F, -9.0F, 3.0F};
    variant.kernels.activate_gated(Activation::kClampedSilu, gate, up, std::size(gate));
    const float clamped[] = {-0.02258914F, -0.0F, 0.4339581F, -5.074775F, 27.99981F};
    for (size_t i = 0; i < std::size(gate); ++i) EXPECT_NEAR(gate[i], clamped[i], 3e-5F);
  }
}

TEST(ActivationTest, OfAnElementIsTheSameAmongOthers) {
  constexpr size_t kCount = 1003;  // not a whole vector
  const std::vector<float> x = RandomFloats(kCount, 10);
  const std::vector<float> y = RandomFloats(kCount, 11);
  for (const Variant& variant : Variants()) {
    for (const Activation activation : kGated) {
      std::vector<float> gated = x;
      variant.kernels.activate_gated(activation, gated.data(), y.data(), kCount);
      for (size_t i = 0; i < kCount; ++i) {
        float gate = x[i];
        variant.kernels.activate_gated(activation, &gate, &y[i], 1);
        ASSERT_EQ(Bits(&gate, 1), Bits(&gated[i], 1)) << variant.name << ", element " << i;
      }
    }
    for (const Activation activation : kAlone) {
      std::vector<float> together = x;
      variant.kernels.activate(activation, together.data(), kCount);
      for (size_t i = 0; i < kCount; ++i) {
        float alone = x[i];
        variant.kernels.activate(activation, &alone, 1);
        ASSERT_EQ(Bits(&alone, 1), Bits(&together[i], 1)) << variant.name << ", element " << i;
      }
    }
  }
}

TEST(ActivationTest, NotANumberStaysSo) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const Variant& variant : Variants()) {
    for (const Activation activation : kGated) {
      float gates[] = {kNan, 1.0F};
      const float ups[] = {1.0F, kNan};
      variant.kernels.activate_gated(activation, gates, ups, 2);
      EXPECT_TRUE(std::isnan(gates[0]) && std::isnan(gates[1])) << variant.name;
    }
    for (const Activation activation : kAlone) {
      float x = kNan;
      variant.kernels.activate(activation, &x, 1);
      EXPECT_TRUE(std::isnan(x)) << variant.name;
    }
  }
}

}  // namespace
}  // namespace reprise
