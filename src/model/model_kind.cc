#include "model/model_kind.h"

#include <optional>
#include <string_view>

namespace reprise {

Status CheckCanRun(const GgufFile& file) {
  const Result<std::optional<std::string_view>> type = file.String("general.type");
  if (!type) return std::unexpected(type.error());
  const Result<std::optional<std::string_view>> architecture = file.String("general.architecture");
  if (!architecture) return std::unexpected(architecture.error());
  if (*type == "mmproj" || *architecture == "clip") {
    return Fail(ErrorCode::kUnsupported,
                "the file is the part of a model that sees or hears (mmproj), which is not "
                "supported yet; give --model the file of the language model that it belongs to, "
                "which reads text without it");
  }
  if (*type == "adapter") {
    return Fail(ErrorCode::kUnsupported,
                "the file is an adapter (LoRA), a change to another model; merge it into that "
                "model (llama.cpp's llama-export-lora does) and give --model the result");
  }
  if (*type == "imatrix" || *architecture == "imatrix") {
    return Fail(ErrorCode::kUnsupported,
                "the file is an importance matrix, statistics for quantising a model; give --model "
                "the model's own file");
  }
  return {};
}

}  // namespace reprise
