#include "model/architecture.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"

namespace reprise {
namespace {

// Architecture `llama` is also what the converter calls Mixtral: the same with experts.
Status RefuseExperts(const GgufFile& file, ModelConfig&) {
  const Result<std::optional<int64_t>> experts = file.Integer("llama.expert_count");
  if (!experts) return std::unexpected(experts.error());
  if (experts->value_or(0) > 0) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("the model is a mixture of {} experts, which is not supported yet",
                            experts->value()));
  }
  return {};
}

constexpr Architecture kArchitectures[] = {
    {.name = "llama",
     .query_key_value_bias = Presence::kOptional,
     .other_bias = Presence::kOptional,
     .names = {},
     .hook = RefuseExperts},
};

// Reads `<architecture>.<name>` keys and keeps the first error, so that a reader of many keys asks
// once at the end. Every getter returns a harmless value after an error.
class KeyReader {
 public:
  KeyReader(const GgufFile& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  const Status& status() const { return status_; }

  // An integer in lowest..highest.
  int64_t Require(std::string_view name, int64_t lowest, int64_t highest) {
    const std::string key = Key(name);
    const std::optional<int64_t> value = Keep(file_.Integer(key));
    if (!value && status_) {
      Fault(ErrorCode::kCorrupt, fmt::format("the key '{}' is missing", key));
    }
    return Within(key, value.value_or(lowest), lowest, highest);
  }
  int64_t Optional(std::string_view name, int64_t otherwise, int64_t lowest, int64_t highest) {
    const std::string key = Key(name);
    return Within(key, Keep(file_.Integer(key)).value_or(otherwise), lowest, highest);
  }
  // A finite number above zero.
  std::optional<double> OptionalPositive(std::string_view name) {
    const std::string key = Key(name);
    const std::optional<double> value = Keep(file_.Number(key));
    if (value && !(std::isfinite(*value) && *value > 0)) {
      Fault(ErrorCode::kCorrupt,
            fmt::format("the key '{}' is {} instead of a number above zero", key, *value));
    }
    return value;
  }
  std::string_view OptionalString(std::string_view name) {
    return Keep(file_.String(Key(name))).value_or("");
  }

  void Fault(ErrorCode code, std::string message) {
    if (status_) status_ = Fail(code, std::move(message));
  }

 private:
  std::string Key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }

  template <typename T>
  std::optional<T> Keep(Result<std::optional<T>> value) {
    if (value) return *value;
    if (status_) status_ = std::unexpected(value.error());
    return std::nullopt;
  }

  int64_t Within(const std::string& key, int64_t value, int64_t lowest, int64_t highest) {
    if (value >= lowest && value <= highest) return value;
    Fault(ErrorCode::kCorrupt,
          fmt::format("the key '{}' is {}, outside {} to {}", key, value, lowest, highest));
    return lowest;
  }

  const GgufFile& file_;
  std::string_view prefix_;
  Status status_;
};

void ReadDimensions(KeyReader& keys, ModelConfig& config) {
  config.layers = static_cast<int>(keys.Require("block_count", 1, limits::kMaxLayers));
  config.context = static_cast<int>(keys.Require("context_length", 1, limits::kMaxContext));
  config.hidden = static_cast<int>(keys.Require("embedding_length", 1, limits::kMaxFeatures));
  config.feed_forward =
      static_cast<int>(keys.Require("feed_forward_length", 1, limits::kMaxFeatures));
  config.heads = static_cast<int>(keys.Require("attention.head_count", 1, limits::kMaxHeads));
  config.kv_heads = static_cast<int>(
      keys.Optional("attention.head_count_kv", config.heads, 1, limits::kMaxHeads));
  if (config.heads % config.kv_heads != 0) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("{} query heads cannot share {} K and V heads evenly", config.heads,
                           config.kv_heads));
  }
  const int otherwise = config.hidden / config.heads;
  if (otherwise < 1 || otherwise > limits::kMaxHeadDimension) {
    keys.Fault(ErrorCode::kCorrupt, fmt::format("{} features cannot be split into {} heads",
                                                config.hidden, config.heads));
    return;
  }
  config.head_dim = static_cast<int>(
      keys.Optional("attention.key_length", otherwise, 1, limits::kMaxHeadDimension));
  const int64_t value_length =
      keys.Optional("attention.value_length", config.head_dim, 1, limits::kMaxHeadDimension);
  if (value_length != config.head_dim) {
    keys.Fault(
        ErrorCode::kUnsupported,
        fmt::format("keys of {} and values of {} dimensions are not supported, only equal ones",
                    config.head_dim, value_length));
  }
  if (config.head_dim % 2 != 0) {
    keys.Fault(ErrorCode::kUnsupported,
               fmt::format("heads of {} dimensions are not supported, only "
                           "even ones",
                           config.head_dim));
  }
  if (int64_t{config.heads} * config.head_dim > limits::kMaxFeatures) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("{} heads of {} dimensions are more than {} features", config.heads,
                           config.head_dim, limits::kMaxFeatures));
  }
}

// What the frequencies are divided by, all alike (position interpolation).
double ReadLinearScaling(KeyReader& keys) {
  const std::string_view type = keys.OptionalString("rope.scaling.type");
  if (type != "" && type != "none" && type != "linear") {
    keys.Fault(ErrorCode::kUnsupported,
               fmt::format("rotary scaling of the kind '{}' is not supported", type));
  }
  if (type == "none") return 1;
  std::optional<double> factor = keys.OptionalPositive("rope.scaling.factor");
  if (!factor) factor = keys.OptionalPositive("rope.scale_linear");  // files before 2023-11
  return factor.value_or(1);
}

// Divisors of each frequency, from the tensor that the converter makes of Llama 3 scaling.
std::vector<float> ReadRopeFactors(KeyReader& keys, const GgufFile& file,
                                   const Architecture& architecture, size_t count) {
  std::vector<float> factors(count, 1.0F);
  const std::string name = fmt::format("{}.weight", architecture.names.rope_factors);
  const GgufTensor* tensor = file.FindTensor(name);
  if (tensor == nullptr) {
    if (architecture.rope_factors == Presence::kRequired) {
      keys.Fault(ErrorCode::kCorrupt, fmt::format("the tensor '{}' is missing", name));
    }
    return factors;
  }
  if (architecture.rope_factors == Presence::kAbsent) return factors;  // refused as unknown later
  if (tensor->type != static_cast<uint32_t>(WeightType::kF32) || tensor->dimensions.size() != 1 ||
      tensor->dimensions[0] != count) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("the tensor '{}' is not {} numbers of type F32, one "
                           "for each rotary frequency",
                           name, count));
    return factors;
  }
  Dequantize(WeightType::kF32, tensor->data.data(), count, factors.data());
  for (float factor : factors) {
    if (!(std::isfinite(factor) && factor > 0)) {
      keys.Fault(
          ErrorCode::kCorrupt,
          fmt::format("the tensor '{}' holds {} instead of a number above zero", name, factor));
    }
  }
  return factors;
}

// inverse_frequencies[i] = base^(-2i / rotary_dim) / scaling / factors[i] (RoFormer, arXiv
// 2104.09864, section 3.2.2), in double and rounded once.
void ReadRope(KeyReader& keys, const GgufFile& file, const Architecture& architecture,
              ModelConfig& config) {
  const int64_t rotary = keys.Optional("rope.dimension_count", config.head_dim, 2, config.head_dim);
  if (rotary % 2 != 0) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("the key '{}.rope.dimension_count' is odd", architecture.name));
  }
  const double base = keys.OptionalPositive("rope.freq_base").value_or(architecture.rope_base);
  const double scaling = ReadLinearScaling(keys);
  const auto count = static_cast<size_t>(rotary / 2);
  const std::vector<float> factors = ReadRopeFactors(keys, file, architecture, count);
  config.rope.pairing = architecture.rope_pairing;
  config.rope.inverse_frequencies.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(rotary);
    config.rope.inverse_frequencies[i] =
        static_cast<float>(std::pow(base, exponent) / scaling / static_cast<double>(factors[i]));
  }
}

}  // namespace

Result<const Architecture*> FindArchitecture(std::string_view name) {
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return &architecture;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", architecture.name);
  }
  return Fail(ErrorCode::kUnsupported,
              fmt::format("models of architecture '{}' are not supported, only: {}", name, known));
}

Result<ModelConfig> ReadModelConfig(const GgufFile& file, const Architecture& architecture) {
  ModelConfig config;
  config.architecture = architecture.name;
  const Result<std::optional<std::string_view>> name = file.String("general.name");
  if (!name) return std::unexpected(name.error());
  config.name = name->value_or(architecture.name);

  KeyReader keys(file, architecture.name);
  ReadDimensions(keys, config);
  const std::optional<double> epsilon = keys.OptionalPositive("attention.layer_norm_rms_epsilon");
  if (!epsilon || *epsilon > 1) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("the key '{}.attention.layer_norm_rms_epsilon' is missing or above 1",
                           architecture.name));
  }
  config.norm_epsilon = static_cast<float>(epsilon.value_or(0));
  if (keys.status()) ReadRope(keys, file, architecture, config);
  if (!keys.status()) return std::unexpected(keys.status().error());
  if (architecture.hook != nullptr) {
    if (Status status = architecture.hook(file, config); !status) {
      return std::unexpected(status.error());
    }
  }
  return config;
}

}  // namespace reprise
