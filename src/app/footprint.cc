#include "app/footprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "kernels/operations.h"
#include "model/model.h"

namespace reprise {
namespace {

uint64_t ElementsOf(const GgufTensor& tensor) {
  uint64_t elements = 1;
  for (const uint64_t dimension : tensor.dimensions) elements *= dimension;
  return elements;
}

// What is no matrix of a product, though it may have two dimensions: biases, taps of convolutions,
// the scalars and norms of state spaces.
bool IsTable(const GgufTensor& tensor) {
  const auto has = [&](std::string_view part) {
    return tensor.name.find(part) != tensor.name.npos;
  };
  return tensor.dimensions.size() == 1 || !tensor.name.ends_with(".weight") ||
         has(".ssm_conv1d.") || has(".ssm_norm.") || has(".shortconv.conv.");
}

// A table is kept in f32; a tensor of more dimensions is a matrix, or one for each expert.
uint64_t ResidentBytes(const GgufTensor& tensor) {
  if (tensor.data.empty()) return 0;
  if (IsTable(tensor)) return ElementsOf(tensor) * sizeof(float);
  const uint64_t columns = tensor.dimensions[0], rows = tensor.dimensions[1];
  return ElementsOf(tensor) / (columns * rows) *
         PackedBytes(static_cast<WeightType>(tensor.type), static_cast<int64_t>(rows),
                     static_cast<int64_t>(columns));
}

Footprint::Served ServedOf(const ModelConfig& config, int context, int block_tokens) {
  const KvLayout layout = KvLayoutOf(config, block_tokens, KvEncoding::kFast);
  Footprint::Served served{.architecture = config.architecture,
                           .name = config.name,
                           .trained_context = config.context,
                           .context = context > 0 ? context : config.context,
                           .kv_bytes_per_token = layout.bytes_per_token(),
                           .kv_bytes = 0,
                           .state_bytes = config.state_bytes};
  const int blocks = (served.context + block_tokens - 1) / block_tokens;
  served.kv_bytes = static_cast<uint64_t>(blocks) * layout.block_bytes();
  return served;
}

}  // namespace

Footprint FootprintOf(const GgufFile& file, int context, int block_tokens) {
  Footprint footprint;
  std::map<uint32_t, Footprint::OfType> types;
  for (const GgufTensor& tensor : file.tensors()) {
    footprint.parameters += ElementsOf(tensor);
    footprint.file_bytes += tensor.data.size();
    footprint.resident_bytes += ResidentBytes(tensor);
    Footprint::OfType& of_type = types[tensor.type];
    ++of_type.tensors;
    of_type.bytes += tensor.data.size();
    of_type.type = WeightBlockOf(tensor.type)
                       ? std::string(WeightTypeName(static_cast<WeightType>(tensor.type)))
                       : fmt::format("type {}", tensor.type);
  }
  for (auto& [type, of_type] : types) footprint.types.push_back(std::move(of_type));
  std::ranges::stable_sort(footprint.types, std::ranges::greater(), &Footprint::OfType::bytes);
  const Result<ModelConfig> config = Model::ReadConfig(file);
  if (config) {
    footprint.served = ServedOf(*config, context, block_tokens);
  } else {
    footprint.obstacle = config.error().message;
  }
  return footprint;
}

}  // namespace reprise
