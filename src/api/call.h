#pragma once

// One call of a client, understood: body in, prompts as tokens and parameters out, everything
// checked against the model and the limits. Knows no sockets, so it is fuzzed and tested alone.
// Free functions over immutable parts; any thread.

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_reader.h"
#include "api/parameters.h"
#include "api/served_model.h"
#include "base/error.h"
#include "engine/request.h"

namespace reprise {

// /v1/chat/completions, /v1/completions, /v1/messages
enum class Endpoint : uint8_t { kChat, kText, kMessages };

// Who calls, and what the server drew for the call.
struct Caller {
  std::string tenant = {};
  uint64_t seed = 0;  // used where the client gives none
};

struct Call {
  Endpoint endpoint = Endpoint::kChat;
  CompletionParameters parameters;
  // All but kText have one. Choice p * parameters.choices + i is the i-th reply to prompt p.
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::vector<Breakpoint>> breakpoints;  // of each prompt
  boost::json::object chat_context;  // all but kText: what the prompt was rendered from
  std::string tenant;
  std::string cache_key;  // with the tenant, the cache's scope
  std::string warning;    // what was ignored of the client's cache markers
  bool dropped_billing_line = false;

  size_t choices() const { return prompts.size() * static_cast<size_t>(parameters.choices); }
};

// Of OpenAI's two endpoints.
Result<Call> ReadCall(Endpoint endpoint, std::string_view body, const Caller& caller,
                      const ServedModel& model);

// Every prompt has a token and leaves room for one more, unless none is wanted; prompts and marks
// under the policy's minimum are not cached.
Status CheckPrompts(Call& call, const ServedModel& model);
// A name of another model, where the operator wants only the right one.
void CheckModelName(FieldReader& fields, const ServedModel& model);

// Who shares what the call leaves in the cache.
std::string CacheScope(const Call& call);
// What the engine is to do for one choice.
GenerationRequest RequestOfChoice(const Call& call, size_t choice);

}  // namespace reprise
