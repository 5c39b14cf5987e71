#include "vendor/anthropic/endpoints.h"

#include <utility>

#include "vendor/anthropic/call.h"
#include "vendor/anthropic/errors.h"
#include "vendor/anthropic/reply.h"

namespace reprise {
namespace {

std::unique_ptr<const ReplyFormat> Format(ReplyLabel label, const Call& call,
                                          const ServedModel& /*model*/) {
  return std::make_unique<AnthropicReply>(std::move(label), call.parameters.max_tokens.value_or(0));
}

}  // namespace

const WireForm kAnthropic = {AnthropicError, "request-id"};
const WireEndpoint kMessages = {"/v1/messages", "msg_", "toolu_", ReadMessagesCall, Format};

}  // namespace reprise
