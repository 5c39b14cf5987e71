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
boost::json::object MessageOf(const Choice& choice, bool with_calls) {
  boost::json::object message = {{"role", "assistant"},
                                 {"content", choice.TextOf(ReplyPart::Kind::kText)}};
  const std::string thinking = choice.TextOf(ReplyPart::Kind::kThinking);
  if (!thinking.empty()) {
    message["reasoning_content"] = thinking;
  }
  boost::json::array calls;
  for (const ReplyPart& part : choice.parts) {
    if (!with_calls || part.kind != ReplyPart::Kind::kCall) continue;
    if (part.state != ReplyPart::State::kWhole) continue;
    calls.push_back(
        {{"id", part.call_id},
         {"type", "function"},
         {"function", {{"name", part.name}, {"arguments", boost::json::parse(part.text)}}}});
  }
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  return message;
}

}  // namespace

void PrepareNextTurn(Service& service, const WorkOrder& order, std::shared_ptr<const Call> call,
                     const Choice& choice) {
  std::vector<TokenId> reply = choice.finished->reply;
  const bool calls = choice.calls_tools();
  if (calls) service.model.replies->Remember(call->tenant, WrittenReplyOf(choice, service.model));
  if (reply.empty() || choice.text.empty() || call->parameters.cache == CacheUse::kNone) return;
  // Without it the reply went on in the last message, so no turn of its own will follow.
  if (!call->template_variables.at("add_generation_prompt").as_bool()) return;
  service.InBackground(order, [&service, call = std::move(call), reply = std::move(reply),
                               message = MessageOf(choice, calls)] {
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
