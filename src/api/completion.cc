#include "api/completion.h"

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "api/completion_run.h"
#include "base/log.h"
#include "vendor/anthropic/call.h"
#include "vendor/call.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

ReplyLabel LabelOf(std::string reply_id, const Exchange& exchange) {
  const Service& service = exchange.service;
  return {.id = std::move(reply_id),
          .request_id = exchange.id(),
          .created = Service::SecondsSince1970(),
          .model = service.model.name,
          .checksum = service.options.expose_logits_checksum};
}

}  // namespace

asio::awaitable<void> HandleCompletion(Exchange& exchange, const WireEndpoint& endpoint) {
  using CallPointer = std::shared_ptr<const Call>;
  Service& service = exchange.service;
  std::function<Result<CallPointer>()> read =
      [&endpoint, body = std::move(exchange.request.body),
       caller = Caller{exchange.identity.tenant, service.NextRandom()},
       &model = service.model]() -> Result<CallPointer> {
    Result<Call> call = endpoint.read(body, caller, model);
    if (!call) return std::unexpected(std::move(call).error());
    return std::make_shared<const Call>(std::move(*call));
  };
  WorkOrder order = exchange.Order();
  Result<CallPointer> call = co_await service.workers.OnWorker(std::move(order), std::move(read));
  if (call && service.stopping) call = std::unexpected(StoppingError());
  if (!call) {
    co_await exchange.SendError(call.error());
    co_return;
  }
  if ((*call)->dropped_billing_line && !std::exchange(service.noted_billing_line, true)) {
    LogInfo("a client's billing line, which changes with each request, is left out of prompts");
  }
  ReplyLabel label = LabelOf(service.NewId(endpoint.reply_id_prefix), exchange);
  CompletionRun run(exchange, endpoint, std::move(*call), std::move(label));
  co_await run.Run();
}

asio::awaitable<void> HandleCountTokens(Exchange& exchange) {
  std::function<Result<size_t>()> count =
      [body = std::move(exchange.request.body), caller = Caller{exchange.identity.tenant},
       &model = exchange.service.model] { return CountMessageTokens(body, caller, model); };
  WorkOrder order = exchange.Order();
  const Result<size_t> tokens =
      co_await exchange.service.workers.OnWorker(std::move(order), std::move(count));
  if (tokens) {
    co_await exchange.SendJson(fmt::format(R"({{"input_tokens":{}}})", *tokens));
  } else {
    co_await exchange.SendError(tokens.error());
  }
}

}  // namespace reprise
