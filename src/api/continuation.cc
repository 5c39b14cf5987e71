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
  // What stands behind the reply in any case is too little to be computed beforehand.
  const size_t in_reply = std::min(wanted.size() - in_prompt, reply.size());
  return !std::equal(reply.begin(), reply.begin() + in_reply, wanted.begin() + in_prompt);
}

// The reply as the client will send it back.
boost::json::object MessageOf(const WrittenReply& reply) {
  boost::json::object message = {{"role", "assistant"}, {"content", reply.text}};
  if (!reply.thinking.empty()) message["reasoning_content"] = reply.thinking;
  boost::json::array calls;
  for (const WrittenReply::Call& call : reply.calls) {
    calls.push_back({{"id", call.id},
                     {"type", "function"},
                     {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  return message;
}

}  // namespace

void PrepareNextTurn(Service& service, const WorkOrder& order, std::shared_ptr<const Call> call,
                     const Choice& choice) {
  std::vector<TokenId> reply = choice.finished->reply;
  WrittenReply written = WrittenReplyOf(choice, service.model);
  boost::json::object message = MessageOf(written);
  if (!written.calls.empty()) {
    service.followers.TellReply(call->tenant, written);
    service.model.replies->Remember(call->tenant, std::move(written));
  }
  if (reply.empty() || choice.text.empty() || call->parameters.cache == CacheUse::kNone) return;
  // Without it the reply went on in the last message, so no turn of its own will follow.
  if (!call->template_variables.at("add_generation_prompt").as_bool()) return;
  service.workers.InBackground(order, [&service, call = std::move(call), reply = std::move(reply),
                                       message = std::move(message)] {
    GenerationRequest request;
    request.scope = CacheScope(*call);
    request.prompt =
        ContinuedPrompt(call->template_variables, message, service.model, call->tenant);
    if (request.prompt.empty() ||
        request.prompt.size() > static_cast<size_t>(service.model.max_sequence_tokens)) {
      return;
    }
    if (call->keep_reply) {
      request.breakpoints = {{request.prompt.size(), *call->keep_reply}};
    } else if (call->grammar == nullptr &&
               !Diverges(request.prompt, call->prompts.front(), reply)) {
      return;
    }
    request.max_tokens = 0;
    request.priority = Priority::kBackground;
    service.engine.Submit(std::move(request), [](Event&&) {});
  });
}

}  // namespace reprise
