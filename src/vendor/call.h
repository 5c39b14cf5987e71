#pragma once

// One call of a client, understood: a body in, prompts as tokens and parameters out, everything
// checked against the model and the limits. The same for every vendor; how it is read is each
// vendor's own (openai/endpoints.h, anthropic/endpoints.h). Knows no sockets, so it is fuzzed and
// tested alone. Free functions over immutable parts; any thread.

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "dialect/reply_reader.h"
#include "generation/request.h"
#include "prompt/conversation.h"
#include "prompt/outline.h"
#include "prompt/prompt_parts.h"
#include "text/grammar.h"
#include "vendor/json_reader.h"
#include "vendor/served_model.h"

namespace reprise {

// Who calls, and what the server drew for the call.
struct Caller {
  std::string tenant = {};
  uint64_t seed = 0;  // used where the client gives none
};

// How a client wants its reply. Nothing here is part of the cache's key.
struct CompletionParameters {
  SamplingParameters sampling;  // seed of choice 0; choice i samples with seed + i
  bool seeded = false;          // the client gave the seed
  std::optional<int> max_tokens;
  std::vector<std::string> stop;
  int choices = 1;        // n, of each prompt
  int top_logprobs = -1;  // -1: none wanted
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
  bool ignore_eos = false;
  CacheUse cache = CacheUse::kReadAndPublish;
};

// The client wants to know why less was read than its previous request left.
struct DiagnosticsRequest {
  std::optional<std::string> previous_message_id;  // none on a conversation's first turn
};

struct ResponsePlan;  // responses/reply.h

struct Call {
  CompletionParameters parameters;
  // All conversations have one. Choice p * parameters.choices + i is the i-th reply to prompt p.
  std::vector<std::vector<TokenId>> prompts;
  // Of each prompt that is so long that it has not been tokenised: how many tokens it has at least.
  std::vector<size_t> least_tokens;
  std::vector<std::vector<Breakpoint>> breakpoints;  // of each prompt
  std::vector<std::vector<PartSpan>> part_spans;     // of each prompt, where history is kept
  std::vector<TokenId> prediction;                   // what each reply is expected to be
  // Of a conversation; empty for a prompt of plain text.
  RequestFingerprint fingerprint;
  boost::json::object template_variables;  // what the prompt was rendered with
  std::string model_name;                  // that the client asked for; empty: none
  std::optional<DiagnosticsRequest> diagnostics;
  std::string tenant;
  std::string cache_key;  // with the tenant, the cache's scope
  std::string warning;    // what was ignored of the client's cache markers
  std::string ignored;    // names of fields that are not known here
  bool dropped_billing_line = false;

  // How the reply is made and read (wanted_form.h).
  bool reads_reply = false;              // else all of it is text
  std::shared_ptr<const ToolSet> tools;  // that it may call; null: nothing is a call
  std::shared_ptr<const Grammar> grammar;
  bool in_thinking = false;  // the prompt ends with the mark that begins thinking
  std::optional<int> thinking_budget;
  std::shared_ptr<const ResponsePlan> response_plan;  // of the Responses API
  std::optional<Duration> keep_reply;  // the prompt and its reply are promised to be kept so long
  bool legacy_functions = false;       // OpenAI's `functions`, before there were tools

  size_t choices() const { return prompts.size() * static_cast<size_t>(parameters.choices); }
  bool is_conversation() const { return !template_variables.empty(); }
};

// A call with what the caller gives it.
Call BeginCall(const Caller& caller);
// The name asked for. A fault where it is another's and the operator wants only the right one.
std::string ReadModelName(FieldReader& fields, const ServedModel& model);
// Renders and tokenises a conversation: the call's prompt, with its breakpoints and where its parts
// stand in it. Errors as RenderPrompt's.
Status AddPrompt(const Conversation& conversation, const ServedModel& model, Call& call);

// How a vendor calls the field of the prompt, and says that one is too long: `tokens` of it, where
// `longest` may be sent and the context holds `context` with the reply.
struct PromptWords {
  const char* field;
  std::string (*too_long)(size_t tokens, size_t longest, int context);
};
// Every prompt has a token and leaves room for one more, unless none is wanted; prompts and marks
// under the policy's minimum are not cached.
Status CheckPrompts(Call& call, const ServedModel& model, const PromptWords& words);

// Who shares what the call leaves in the cache.
std::string CacheScope(const Call& call);
// What the engine is to do for one choice.
GenerationRequest RequestOfChoice(const Call& call, size_t choice, const ServedModel& model);
// What its text is read by; null: all of it is text.
std::unique_ptr<ReplyReader> ReaderOfChoice(const Call& call, const ServedModel& model);
// Adds a sentence on what was ignored, in printable ASCII, as far as a header can bear it.
void NoteIgnored(std::string_view sentence, std::string& ignored);

}  // namespace reprise
