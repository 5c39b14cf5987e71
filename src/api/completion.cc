#include "api/completion.h"

#include <fmt/format.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "api/anthropic_call.h"
#include "api/anthropic_reply.h"
#include "api/call.h"
#include "api/completion_run.h"
#include "api/openai_reply.h"
#include "base/log.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

int64_t SecondsSince1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string_view IdPrefix(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kChat:
      return "chatcmpl-";
    case Endpoint::kText:
      return "cmpl-";
    case Endpoint::kMessages:
      break;
  }
  return "msg_";
}

std::unique_ptr<const Reply> OpenAiReplyFor(const Call& call, std::string id,
                                            const Service& service) {
  const CompletionParameters& parameters = call.parameters;
  ReplyLabel label;
  label.endpoint = call.endpoint;
  label.id = std::move(id);
  label.created = SecondsSince1970();
  label.model = service.model.name;
  label.logprobs = parameters.top_logprobs >= 0;
  label.stream = parameters.stream;
  label.usage_in_stream = parameters.include_usage;
  label.checksum = service.options.expose_logits_checksum;
  return std::make_unique<OpenAiReply>(std::move(label), *service.model.tokenizer);
}

std::unique_ptr<const Reply> ReplyFor(const Call& call, std::string id, const Exchange& exchange) {
  const Service& service = exchange.service;
  if (call.endpoint != Endpoint::kMessages) {
    return OpenAiReplyFor(call, std::move(id), service);
  }
  MessageLabel label;
  label.id = std::move(id);
  label.request_id = exchange.id();
  label.model = service.model.name;
  label.max_tokens = call.parameters.max_tokens.value_or(0);
  label.checksum = service.options.expose_logits_checksum;
  return std::make_unique<AnthropicReply>(std::move(label));
}

asio::awaitable<void> HandleCompletion(Exchange& exchange, Endpoint endpoint) {
  using CallPointer = std::shared_ptr<const Call>;
  Service& service = exchange.service;
  std::function<Result<CallPointer>()> read =
      [endpoint, body = std::move(exchange.request.body),
       caller = Caller{exchange.identity.tenant, service.NextRandom()},
       &model = service.model]() -> Result<CallPointer> {
    Result<Call> call = endpoint == Endpoint::kMessages ? ReadMessagesCall(body, caller, model)
                                                        : ReadCall(endpoint, body, caller, model);
    if (!call) return std::unexpected(std::move(call).error());
    return std::make_shared<const Call>(std::move(*call));
  };
  Result<CallPointer> call = co_await service.OnWorker(std::move(read));
  if (!call) {
    co_await exchange.SendFault(ToFault(call.error()));
    co_return;
  }
  if ((*call)->dropped_billing_line && !std::exchange(service.noted_billing_line, true)) {
    LogInfo("a client's billing line, which changes with each request, is left out of prompts");
  }
  std::string reply_id = service.NewId(IdPrefix(endpoint));
  std::unique_ptr<const Reply> reply = ReplyFor(**call, reply_id, exchange);
  CompletionRun run(exchange, std::move(*call), std::move(reply_id), std::move(reply));
  co_await run.Run();
}

}  // namespace

asio::awaitable<void> HandleChatCompletion(Exchange& exchange) {
  co_await HandleCompletion(exchange, Endpoint::kChat);
}

asio::awaitable<void> HandleTextCompletion(Exchange& exchange) {
  co_await HandleCompletion(exchange, Endpoint::kText);
}

asio::awaitable<void> HandleMessages(Exchange& exchange) {
  co_await HandleCompletion(exchange, Endpoint::kMessages);
}

asio::awaitable<void> HandleCountTokens(Exchange& exchange) {
  std::function<Result<size_t>()> count =
      [body = std::move(exchange.request.body), caller = Caller{exchange.identity.tenant},
       &model = exchange.service.model] { return CountMessageTokens(body, caller, model); };
  const Result<size_t> tokens = co_await exchange.service.OnWorker(std::move(count));
  if (tokens) {
    co_await exchange.SendJson(fmt::format(R"({{"input_tokens":{}}})", *tokens));
  } else {
    co_await exchange.SendFault(ToFault(tokens.error()));
  }
}

}  // namespace reprise
