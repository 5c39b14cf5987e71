#pragma once

// One call of a client, understood: body in, prompts as tokens and parameters out, everything
// checked against the model and the limits. Knows no sockets, so it is fuzzed and tested alone.
// Free functions over immutable parts; any thread.

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/cache_mark.h"
#include "api/json_reader.h"
#include "api/parameters.h"
#include "api/prompt_anatomy.h"
#include "api/prompt_parts.h"
#include "api/rendered_prompt.h"
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

// Anthropic's `diagnostics`: the client wants to know why less was read than its previous request
// left.
struct DiagnosticsWish {
  std::optional<std::string> previous_message_id;  // none on a conversation's first turn
};

struct Call {
  Endpoint endpoint = Endpoint::kChat;
  CompletionParameters parameters;
  // All but kText have one. Choice p * parameters.choices + i is the i-th reply to prompt p.
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::vector<Breakpoint>> breakpoints;  // of each prompt
  std::vector<std::vector<Landmark>> landmarks;      // of each prompt, where history is kept
  RequestFingerprint fingerprint;                    // all but kText
  boost::json::object chat_context;  // all but kText: what the prompt was rendered from
  std::string model_name;            // that the client asked for; empty: none
  std::optional<DiagnosticsWish> diagnostics;
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
// The name asked for. A fault where it is another's and the operator wants only the right one.
std::string ReadModelName(FieldReader& fields, const ServedModel& model);
// Takes over a chat's prompt and where its parts stand in it.
void AdoptPrompt(ChatPrompt chat, RenderedPrompt rendered, const ServedModel& model, Call& call);

// Who shares what the call leaves in the cache.
std::string CacheScope(const Call& call);
// What the engine is to do for one choice.
GenerationRequest RequestOfChoice(const Call& call, size_t choice);

}  // namespace reprise
