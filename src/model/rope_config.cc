#include "model/rope_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {
namespace {

// Divisors of each frequency, from a tensor of the file.
std::vector<double> ReadFactors(KeyReader& keys, std::string_view tensor_name, Presence presence,
                                size_t count) {
  std::vector<double> factors(count, 1.0);
  const std::string name = fmt::format("{}.weight", tensor_name);
  const GgufTensor* tensor = keys.file().FindTensor(name);
  if (presence == Presence::kAbsent) return factors;  // refused as unknown later, if it is there
  if (tensor == nullptr) {
    if (presence == Presence::kRequired) {
      keys.Fault(ErrorCode::kCorrupt, fmt::format("the tensor '{}' is missing", name));
    }
    return factors;
  }
  if (tensor->type != static_cast<uint32_t>(WeightType::kF32) || tensor->dimensions.size() != 1 ||
      tensor->dimensions[0] != count) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("the tensor '{}' is not {} numbers of type F32, one "
                           "for each rotary frequency",
                           name, count));
    return factors;
  }
  std::vector<float> values(count);
  Dequantize(WeightType::kF32, tensor->data.data(), count, values.data());
  for (const float value : values) {
    if (!(std::isfinite(value) && value > 0)) {
      keys.Fault(
          ErrorCode::kCorrupt,
          fmt::format("the tensor '{}' holds {} instead of a number above zero", name, value));
      return factors;
    }
  }
  return {values.begin(), values.end()};
}

// The index of the frequency that turns `turns` times over `context` positions (YaRN, section 3.2).
double FrequencyOf(double turns, double base, double rotary, double context) {
  return rotary * std::log(context / (turns * 2 * std::numbers::pi)) / (2 * std::log(base));
}

// Frequencies that turn often stay, slow ones are divided by the factor, between them a ramp.
struct Yarn {
  double factor, low, high;

  double Apply(double frequency, size_t index) const {
    const double ramp =
        std::clamp((static_cast<double>(index) - low) / std::max(high - low, 0.001), 0.0, 1.0);
    return frequency / factor * ramp + frequency * (1 - ramp);
  }
};

Yarn ReadYarn(KeyReader& keys, const Architecture& architecture, double factor, double base,
              int rotary, int context) {
  const int original = keys.Optional("rope.scaling.original_context_length", context, 1, 1 << 30);
  const double fast = keys.OptionalPositive("rope.scaling.yarn_beta_fast").value_or(32);
  const double slow = keys.OptionalPositive("rope.scaling.yarn_beta_slow").value_or(1);
  double low = FrequencyOf(fast, base, rotary, original);
  double high = FrequencyOf(slow, base, rotary, original);
  if (!architecture.exact_yarn_range) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  return {factor, std::max(low, 0.0), std::min(high, rotary - 1.0)};
}

}  // namespace

double RopeBase(KeyReader& keys, const Architecture& architecture) {
  return keys.OptionalPositive("rope.freq_base").value_or(architecture.rope_base);
}

RopeTable ReadRope(KeyReader& keys, const Architecture& architecture, const ModelConfig& config,
                   int otherwise, const RopeChoice& choice) {
  const int rotary = keys.Optional("rope.dimension_count", otherwise, 2, otherwise);
  if (rotary % 2 != 0) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("the key '{}' is odd", keys.Key("rope.dimension_count")));
  }
  const auto count = static_cast<size_t>(rotary / 2);
  const TensorNames& names = architecture.names;
  const std::string_view kind = keys.OptionalString("rope.scaling.type");
  std::optional<double> factor = keys.OptionalPositive("rope.scaling.factor");
  if (!factor) factor = keys.OptionalPositive("rope.scale_linear");  // files before 2023-11
  const bool is_yarn = choice.scaled && kind == "yarn";
  const bool is_linear = choice.scaled && (kind == "linear" || kind == "");
  if (kind != "" && kind != "none" && kind != "linear" && kind != "yarn" &&
      !(kind == "longrope" && architecture.long_rope)) {
    keys.Fault(ErrorCode::kUnsupported,
               fmt::format("rotary scaling of the kind '{}' is not supported", kind));
  }

  std::vector<double> factors(count, 1.0);
  if (choice.scaled && architecture.long_rope &&
      keys.file().FindTensor(fmt::format("{}.weight", names.long_rope_factors)) != nullptr) {
    // Both are checked, whichever is taken.
    std::vector<double> far =
        ReadFactors(keys, names.long_rope_factors, Presence::kRequired, count);
    factors = ReadFactors(keys, names.short_rope_factors, Presence::kRequired, count);
    if (config.long_ropes) factors = std::move(far);
  } else if (choice.scaled) {
    factors = ReadFactors(keys, names.rope_factors, architecture.rope_factors, count);
  }

  RopeTable table;
  table.pairing = architecture.rope_pairing;
  table.inverse_frequencies.resize(count);
  const double scaling = factor.value_or(1);
  const Yarn yarn = is_yarn
                        ? ReadYarn(keys, architecture, scaling, choice.base, rotary, config.context)
                        : Yarn{1, 0, 1};
  for (size_t i = 0; i < count; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / rotary;
    double frequency = std::pow(choice.base, exponent);
    if (is_linear) frequency /= scaling;
    if (is_yarn) frequency = yarn.Apply(frequency, i);
    table.inverse_frequencies[i] = static_cast<float>(frequency / factors[i]);
  }
  if (choice.scaled) {
    double attention = keys.OptionalPositive("rope.scaling.attn_factor").value_or(1);
    // Attention is made sharper, and by what the file's multiplier says that is taken back.
    const double back = keys.OptionalPositive("rope.scaling.yarn_log_multiplier").value_or(0);
    if (is_yarn && scaling > 1) {
      attention *= (1 + 0.1 * std::log(scaling)) / (1 + 0.1 * back * std::log(scaling));
    }
    table.attention_factor = static_cast<float>(attention);
  }
  return table;
}

}  // namespace reprise
