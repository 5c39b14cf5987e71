#include "api/continuation.h"

#include <algorithm>
#include <utility>

#include "prompt/continued_prompt.h"

namespace reprise {
namespace {

// Whether `wanted` begins otherwise than the prompt followed by the reply.
bool Diverges(const std::vector<TokenId>& wanted, const std::vector<TokenId>& prompt,
              const std::vector<TokenId>& reply) {
  const size_t in_prompt = std::min(wanted.size(), prompt.size());
  if (!std::equal(wanted.begin(), wanted.begin() + in_prompt, prompt.begin())) return true;
  const size_t rest = wanted.size() - in_prompt;
  return rest > reply.size() ||
         !std::equal(wanted.begin() + in_prompt, wanted.end(), reply.begin());
}

}  // namespace

void PrefillContinuation(Service& service, const WorkOrder& order, std::shared_ptr<const Call> call,
                         std::vector<TokenId> reply, std::string text) {
  if (reply.empty() || text.empty() || call->parameters.cache == CacheUse::kNone) return;
  // Without it the reply went on in the last message, so no turn of its own will follow.
  if (!call->template_variables.at("add_generation_prompt").as_bool()) return;
  service.InBackground(order, [&service, call = std::move(call), reply = std::move(reply),
                               text = std::move(text)] {
    GenerationRequest request;
    request.scope = CacheScope(*call);
    request.prompt = ContinuedPrompt(call->template_variables, text, service.model, call->tenant);
    if (request.prompt.empty() ||
        request.prompt.size() > static_cast<size_t>(service.model.max_sequence_tokens) ||
        !Diverges(request.prompt, call->prompts.front(), reply)) {
      return;
    }
    request.max_tokens = 0;
    request.priority = Priority::kBackground;
    service.engine.Submit(std::move(request), [](Event&&) {});
  });
}

}  // namespace reprise
