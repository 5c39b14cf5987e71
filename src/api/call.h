#pragma once

// One call of a client, understood: body in, prompts as tokens and parameters out, everything
// checked against the model and the limits. Knows no sockets, so it is fuzzed and tested alone.
// Free functions over immutable parts; any thread.

#include <boost/json.hpp>
#include <string_view>
#include <vector>

#include "api/parameters.h"
#include "api/served_model.h"
#include "base/error.h"
#include "engine/request.h"

namespace reprise {

enum class Endpoint : uint8_t { kChat, kText };  // /v1/chat/completions, /v1/completions

struct Call {
  Endpoint endpoint = Endpoint::kChat;
  CompletionParameters parameters;
  // kChat has one. Choice p * parameters.choices + i is the i-th reply to prompt p.
  std::vector<std::vector<TokenId>> prompts;
  boost::json::object chat_context;  // kChat: what the prompt was rendered from

  size_t choices() const { return prompts.size() * static_cast<size_t>(parameters.choices); }
};

// `seed` is used where the client gives none.
Result<Call> ReadCall(Endpoint endpoint, std::string_view body, uint64_t seed,
                      const ServedModel& model);

// What the engine is to do for one choice.
GenerationRequest RequestOfChoice(const Call& call, size_t choice);

}  // namespace reprise
