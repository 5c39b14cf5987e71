#pragma once

// POST /v1/embeddings: `input` is a string, [strings], [tokens] or [[tokens]], read like prompts of
// text completions; `encoding_format` is "float" or "base64" (little-endian float32). `pooling`
// ("mean", "last") is ours. Free functions; any thread.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "generation/request.h"
#include "vendor/call.h"
#include "vendor/served_model.h"

namespace reprise {

struct EmbeddingsCall {
  Call call;  // its prompts are the inputs
  Pooling pooling = Pooling::kMean;
  bool base64 = false;
};
Result<EmbeddingsCall> ReadEmbeddingsCall(std::string_view body, const Caller& caller,
                                          const ServedModel& model);
GenerationRequest RequestOfInput(const EmbeddingsCall& call, size_t input);
// One an input, in their order.
std::string EmbeddingsBody(const EmbeddingsCall& call, std::span<const FinishedEvent> finished,
                           const std::string& model_name);

}  // namespace reprise
