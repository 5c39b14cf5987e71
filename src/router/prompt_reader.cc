#include "router/prompt_reader.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "tiers/block_key.h"
#include "vendor/call.h"
#include "vendor/json_reader.h"
#include "vendor/responses/endpoints.h"
#include "vendor/responses/response_store.h"

namespace reprise {
namespace {

const SystemClock kReaderClock;

// As a server that tells nothing else: settings that no replica has told yet.
ReplicaTerms FirstTerms() { return {.context = limits::kMaxContext}; }

std::shared_ptr<const ServedModel> UnderTerms(ServedModel model, const ReplicaTerms& terms) {
  model.max_sequence_tokens = terms.context;
  model.policy.cache_key_isolates = terms.cache_key_isolates;
  model.policy.drop_billing_line = terms.drop_billing_line;
  model.policy.cache_minimum_tokens = terms.cache_minimum_tokens;
  return std::make_shared<const ServedModel>(std::move(model));
}

ServedModel ForPromptsOnly(ServedModel model) {
  model.prompts_only = true;
  model.strict_model = false;
  model.policy.history = 0;  // where parts stand in the prompt is nobody's question here
  // Nothing is stored in it, but that responses are has a say in what is kept of their prompts.
  model.responses = std::make_shared<ResponseStore>(&kReaderClock, std::chrono::minutes(30),
                                                    limits::kResponseStoreBytes);
  return model;
}

size_t LongestPrompt(const Call& call) {
  const auto longest = std::ranges::max_element(
      call.prompts, {}, [](const std::vector<TokenId>& prompt) { return prompt.size(); });
  return static_cast<size_t>(longest - call.prompts.begin());
}

}  // namespace

std::optional<std::string> PreviousResponseOf(const WireEndpoint& endpoint, std::string_view body) {
  constexpr std::string_view kField = "previous_response_id";
  const bool may_have = endpoint.path == kResponses.path && body.contains(kField);
  if (!may_have) return std::nullopt;
  const auto object = ParseJsonObject(body);
  if (!object) return std::nullopt;
  FieldReader fields(*object, "");
  std::string id(fields.String(kField).value_or(""));
  if (id.empty()) return std::nullopt;
  return id;
}

PromptReader::PromptReader(ServedModel model)
    : replies_(model.replies), model_(UnderTerms(ForPromptsOnly(std::move(model)), FirstTerms())) {}

std::shared_ptr<const ServedModel> PromptReader::model() const {
  const std::lock_guard lock(mutex_);
  return model_;
}

void PromptReader::SetTerms(const ReplicaTerms& terms) {
  const std::lock_guard lock(mutex_);
  model_ = UnderTerms(*model_, terms);
}

Result<RoutedPrompt> PromptReader::Read(const WireEndpoint& endpoint, std::string_view body,
                                        const std::string& tenant,
                                        const std::vector<ChainBasis>& bases) const {
  RoutedPrompt prompt;
  prompt.previous_response = PreviousResponseOf(endpoint, body);
  if (prompt.previous_response) return prompt;
  Result<Call> call = endpoint.read(body, Caller{.tenant = tenant}, *model());
  if (!call) return std::unexpected(std::move(call).error());
  prompt.scope = CacheScope(*call);
  for (const std::vector<TokenId>& each : call->prompts) prompt.token_count += each.size();
  const size_t longest = LongestPrompt(*call);
  prompt.tokens = std::move(call->prompts[longest]);
  if (call->parameters.cache == CacheUse::kNone) return prompt;
  for (const Breakpoint& breakpoint : call->breakpoints[longest]) {
    prompt.marked_tokens = std::max(prompt.marked_tokens, breakpoint.tokens);
  }
  prompt.chains.reserve(bases.size());
  for (const ChainBasis& basis : bases) {
    prompt.chains.push_back(
        {basis, ChainOf(basis.identity, prompt.scope, prompt.tokens, basis.block_tokens)});
  }
  return prompt;
}

}  // namespace reprise
