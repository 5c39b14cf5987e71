#include "model/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"
#include "model/rope_config.h"

namespace reprise {
namespace {

// The first that is not 0: layers without attention say 0.
int FirstOf(const std::vector<int>& numbers) {
  const auto found = std::ranges::find_if(numbers, [](int number) { return number > 0; });
  return found == numbers.end() ? 0 : *found;
}

// A layer whose K and V heads are 0 has no attention, one whose features between the products are 0
// no feed-forward layer.
void ReadLayers(KeyReader& keys, ModelConfig& config) {
  config.layers = keys.Require("block_count", 1, limits::kMaxLayers);
  const auto count = static_cast<size_t>(config.layers);
  config.layer.resize(count);
  config.heads = FirstOf(keys.Integers("attention.head_count", count, limits::kMaxHeads));
  const std::vector<int> kv_heads =
      keys.Has("attention.head_count_kv")
          ? keys.Integers("attention.head_count_kv", count, limits::kMaxHeads)
          : std::vector<int>(count, config.heads);
  const std::vector<int> feed_forward =
      keys.Integers("feed_forward_length", count, limits::kMaxFeatures);
  config.kv_heads = FirstOf(kv_heads);
  int kv_layers = 0;
  for (size_t i = 0; i < count; ++i) {
    LayerConfig& layer = config.layer[i];
    layer.feed_forward = feed_forward[i];
    if (feed_forward[i] == 0) layer.feed_forward_kind = FeedForwardKind::kNone;
    if (kv_heads[i] == 0) {
      layer.mixer = Mixer::kNone;
    } else if (kv_heads[i] != config.kv_heads) {
      keys.Fault(ErrorCode::kUnsupported,
                 fmt::format("layers with {} and with {} K and V heads are not supported together",
                             config.kv_heads, kv_heads[i]));
    } else {
      layer.kv_layer = kv_layers++;
    }
  }
}

void ReadHeads(KeyReader& keys, ModelConfig& config) {
  for (const auto& [name, number] : {std::pair("attention.head_count", config.heads),
                                     std::pair("attention.head_count_kv", config.kv_heads)}) {
    if (number == 0) {
      keys.Fault(ErrorCode::kCorrupt,
                 fmt::format("the key '{}' is 0 for each layer", keys.Key(name)));
      return;
    }
  }
  if (config.heads % config.kv_heads != 0) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("{} query heads cannot share {} K and V heads evenly", config.heads,
                           config.kv_heads));
  }
  const int otherwise = config.hidden / config.heads;
  if (!keys.Has("attention.key_length") &&
      (otherwise < 1 || otherwise > limits::kMaxHeadDimension)) {
    keys.Fault(ErrorCode::kCorrupt, fmt::format("{} features cannot be split into {} heads",
                                                config.hidden, config.heads));
    return;
  }
  config.head_dim = keys.Optional("attention.key_length", otherwise, 1, limits::kMaxHeadDimension);
  config.value_dim =
      keys.Optional("attention.value_length", config.head_dim, 1, limits::kMaxHeadDimension);
  if (config.head_dim % 2 != 0) {
    keys.Fault(ErrorCode::kUnsupported,
               fmt::format("heads of {} dimensions are not supported, only "
                           "even ones",
                           config.head_dim));
  }
  if (int64_t{config.heads} * std::max(config.head_dim, config.value_dim) > limits::kMaxFeatures) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("{} heads of {} dimensions are more than {} features", config.heads,
                           config.head_dim, limits::kMaxFeatures));
  }
  config.attention_scale = keys.Positive(
      "attention.scale", 1.0 / std::sqrt(static_cast<double>(std::max(config.head_dim, 1))));
}

void ReadNorm(KeyReader& keys, const Architecture& architecture, ModelConfig& config) {
  const std::string_view name = architecture.norm == Norm::kRms ? "attention.layer_norm_rms_epsilon"
                                                                : "attention.layer_norm_epsilon";
  const std::optional<double> epsilon = keys.OptionalPositive(name);
  if (!epsilon || *epsilon > 1) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("the key '{}' is missing or above 1", keys.Key(name)));
  }
  config.norm_epsilon = static_cast<float>(epsilon.value_or(0));
}

// Which layers look back only a window.
void ReadWindows(KeyReader& keys, const Architecture& architecture, ModelConfig& config) {
  if (architecture.window_period == 0) return;
  const int window = keys.Optional("attention.sliding_window", 0, 0, limits::kMaxContext);
  if (window == 0) return;
  const auto* pattern = [&]() -> const std::vector<bool>* {
    const GgufFile::Value* value = keys.file().Find(keys.Key("attention.sliding_window_pattern"));
    return value == nullptr ? nullptr : std::get_if<std::vector<bool>>(value);
  }();
  const int period = pattern != nullptr
                         ? 1
                         : keys.Optional("attention.sliding_window_pattern",
                                         architecture.window_period, 1, limits::kMaxLayers);
  if (pattern != nullptr && pattern->size() != config.layer.size()) {
    keys.Fault(ErrorCode::kCorrupt,
               fmt::format("the key '{}' does not say yes or no for each of {} layers",
                           keys.Key("attention.sliding_window_pattern"), config.layers));
    return;
  }
  for (size_t i = 0; i < config.layer.size(); ++i) {
    const bool local = pattern != nullptr
                           ? (*pattern)[i]
                           : period == 1 || static_cast<int>(i) % period < period - 1;
    if (local) config.layer[i].window = window;
  }
}

void ReadScales(KeyReader& keys, ModelConfig& config) {
  config.embedding_scale = keys.Positive("embedding_scale", 1);
  config.residual_scale = keys.Positive("residual_scale", 1);
  config.logit_scale = keys.Positive("logit_scale", 1);
  config.attention_soft_cap =
      static_cast<float>(keys.OptionalPositive("attn_logit_softcapping").value_or(0));
  config.logit_soft_cap =
      static_cast<float>(keys.OptionalPositive("final_logit_softcapping").value_or(0));
}

void ReadRopes(KeyReader& keys, const Architecture& architecture, int served, ModelConfig& config) {
  if (architecture.long_rope) {
    const int original = keys.Optional("rope.scaling.original_context_length", config.context, 1,
                                       limits::kMaxContext);
    config.long_ropes = (served > 0 ? served : config.context) > original;
  }
  if (!keys.status()) return;
  config.ropes.push_back(ReadRope(keys, architecture, config, config.head_dim,
                                  {.base = RopeBase(keys, architecture)}));
}

}  // namespace

Result<const Architecture*> FindArchitecture(std::string_view name) {
  std::string known;
  for (const std::span<const Architecture> table :
       {DenseFamilies(), ExpertFamilies(), RecurrentFamilies()}) {
    for (const Architecture& architecture : table) {
      if (architecture.name == name) return &architecture;
      known += fmt::format("{}{}", known.empty() ? "" : ", ", architecture.name);
    }
  }
  return Fail(ErrorCode::kUnsupported,
              fmt::format("models of architecture '{}' are not supported, only: {}", name, known));
}

Result<ModelConfig> ReadModelConfig(const GgufFile& file, const Architecture& architecture,
                                    int context) {
  ModelConfig config;
  config.architecture = architecture.name;
  const Result<std::optional<std::string_view>> name = file.String("general.name");
  if (!name) return std::unexpected(name.error());
  config.name = name->value_or(architecture.name);

  KeyReader keys(file, architecture.name);
  config.context = keys.Require("context_length", 1, limits::kMaxContext);
  config.hidden = keys.Require("embedding_length", 1, limits::kMaxFeatures);
  ReadLayers(keys, config);
  if (keys.status()) ReadHeads(keys, config);
  ReadNorm(keys, architecture, config);
  ReadScales(keys, config);
  ReadWindows(keys, architecture, config);
  if (keys.status()) ReadRopes(keys, architecture, context, config);
  if (keys.status() && architecture.hook != nullptr) architecture.hook(keys, architecture, config);
  if (!keys.status()) return std::unexpected(keys.status().error());
  return config;
}

}  // namespace reprise
