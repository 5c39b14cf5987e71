#include "model/model.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <utility>

#include "model/architecture.h"
#include "model/decoder.h"
#include "model/model_kind.h"
#include "model/weights.h"

namespace reprise {
namespace {

Result<const Architecture*> ArchitectureOf(const GgufFile& file) {
  if (Status runs = CheckCanRun(file); !runs) return std::unexpected(runs.error());
  const Result<std::optional<std::string_view>> name = file.String("general.architecture");
  if (!name) return std::unexpected(name.error());
  if (!*name) return Fail(ErrorCode::kCorrupt, "the key 'general.architecture' is missing");
  return FindArchitecture(**name);
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

KvLayout KvLayoutOf(const ModelConfig& config, int block_tokens, KvEncoding encoding) {
  return {.layers = config.kv_layers(),
          .kv_heads = config.kv_heads,
          .key_dim = config.head_dim,
          .value_dim = config.value_dim,
          .block_tokens = block_tokens,
          .encoding = encoding};
}

Result<ModelConfig> Model::ReadConfig(const GgufFile& file) {
  const Result<const Architecture*> architecture = ArchitectureOf(file);
  if (!architecture) return std::unexpected(architecture.error());
  return ReadModelConfig(file, **architecture, 0);
}

Result<std::unique_ptr<Model>> Model::Load(const GgufFile& file, const Options& options) {
  if (Status status = CheckBlockTokens(options.block_tokens); !status) {
    return std::unexpected(status.error());
  }
  const Result<const Architecture*> architecture = ArchitectureOf(file);
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

  const KvLayout layout = KvLayoutOf(*config, options.block_tokens, (*operations)->kv_encoding());
  return std::make_unique<Decoder>(Decoder::Parts{.architecture = *architecture,
                                                  .config = std::move(*config),
                                                  .kv_layout = layout,
                                                  .operations = std::move(*operations),
                                                  .weights = std::move(*weights)});
}

}  // namespace reprise
