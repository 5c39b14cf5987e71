#include "model/model.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <utility>

#include "model/architecture.h"
#include "model/decoder.h"
#include "model/weights.h"

namespace reprise {
namespace {

Result<std::string_view> ArchitectureName(const GgufFile& file) {
  const Result<std::optional<int64_t>> parts = file.Integer("split.count");
  if (!parts) return std::unexpected(parts.error());
  if (parts->value_or(1) > 1) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("the model is split over {} files, only a single file is supported",
                            parts->value()));
  }
  const Result<std::optional<std::string_view>> name = file.String("general.architecture");
  if (!name) return std::unexpected(name.error());
  if (!*name) return Fail(ErrorCode::kCorrupt, "the key 'general.architecture' is missing");
  return **name;
}

Status CheckBlockTokens(int block_tokens) {
  for (int allowed : {16, 32, 64, 128, 256}) {
    if (block_tokens == allowed) return {};
  }
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("blocks of {} tokens are not supported, only 16, 32, 64, 128 or 256",
                          block_tokens));
}

}  // namespace

Result<std::unique_ptr<Model>> Model::Load(const GgufFile& file, const Options& options) {
  if (Status status = CheckBlockTokens(options.block_tokens); !status) {
    return std::unexpected(status.error());
  }
  const Result<std::string_view> name = ArchitectureName(file);
  if (!name) return std::unexpected(name.error());
  const Result<const Architecture*> architecture = FindArchitecture(*name);
  if (!architecture) return std::unexpected(architecture.error());
  Result<ModelConfig> config = ReadModelConfig(file, **architecture, options.context);
  if (!config) return std::unexpected(config.error());
  Result<std::unique_ptr<Operations>> operations =
      MakeOperations(options.isa, options.compute, options.threads);
  if (!operations) return std::unexpected(operations.error());
  Result<Weights> weights =
      LoadWeights(file, **architecture, **operations, options.progress, *config);
  if (!weights) return std::unexpected(weights.error());
  file.DropPages();

  const KvLayout layout = {.layers = config->kv_layers(),
                           .kv_heads = config->kv_heads,
                           .key_dim = config->head_dim,
                           .value_dim = config->value_dim,
                           .block_tokens = options.block_tokens,
                           .encoding = (*operations)->kv_encoding()};
  return std::make_unique<Decoder>(Decoder::Parts{.architecture = *architecture,
                                                  .config = std::move(*config),
                                                  .kv_layout = layout,
                                                  .operations = std::move(*operations),
                                                  .weights = std::move(*weights)});
}

}  // namespace reprise
