#include "api/embeddings.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "api/generation.h"
#include "vendor/openai/embeddings.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

using CallPointer = std::shared_ptr<const EmbeddingsCall>;

// So many of a request are with the engine at a time, so that others' requests come between.
constexpr size_t kInFlight = 16;

// Of each input, in their order; or what one of them failed with.
asio::awaitable<Result<std::vector<FinishedEvent>>> Embed(Exchange& exchange, CallPointer call) {
  Service& service = exchange.service;
  const MemoryShare memory = exchange.request.memory->Another();
  Generation generation(service.engine, service.io, memory);
  const size_t inputs = call->call.prompts.size();
  size_t submitted = 0;
  const auto submit = [&] {
    if (submitted < inputs) generation.Submit(RequestOfInput(*call, submitted++));
  };
  while (submitted < std::min(inputs, kInFlight)) submit();
  std::vector<FinishedEvent> finished(inputs);
  while (!generation.all_ended()) {
    std::vector<ChoiceEvent> events = co_await generation.Next();
    if (generation.overflowed()) co_return std::unexpected(NoRequestMemory());
    for (ChoiceEvent& event : events) {
      if (auto* failed = std::get_if<FailedEvent>(&event.event)) {
        co_return std::unexpected(std::move(failed->error));
      }
      if (auto* end = std::get_if<FinishedEvent>(&event.event)) {
        finished[event.choice] = std::move(*end);
        submit();
      }
    }
  }
  co_return finished;
}

}  // namespace

asio::awaitable<void> HandleEmbeddings(Exchange& exchange) {
  Service& service = exchange.service;
  std::function<Result<CallPointer>()> read = [body = std::move(exchange.request.body),
                                               caller = Caller{exchange.identity.tenant},
                                               &model = service.model]() -> Result<CallPointer> {
    Result<EmbeddingsCall> call = ReadEmbeddingsCall(body, caller, model);
    if (!call) return std::unexpected(std::move(call).error());
    return std::make_shared<const EmbeddingsCall>(std::move(*call));
  };
  WorkOrder order = exchange.Order();
  const std::shared_ptr<MemoryShare> memory = order.memory;
  const Result<CallPointer> call =
      co_await service.workers.OnWorker(std::move(order), std::move(read));
  if (!call) {
    co_await exchange.SendError(call.error());
    co_return;
  }
  // Beside the body: the vectors, and the text that they become.
  constexpr size_t kBytesPerValue = sizeof(float) + 14;
  const size_t values =
      (*call)->call.prompts.size() * static_cast<size_t>(service.engine.model_config().hidden);
  if (!memory->Resize(exchange.Order().bytes + values * kBytesPerValue)) {
    Error error = NoRequestMemory();
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  const Result<std::vector<FinishedEvent>> finished = co_await Embed(exchange, *call);
  if (!finished) {
    co_await exchange.SendError(finished.error());
    co_return;
  }
  for (const FinishedEvent& each : *finished) {
    exchange.figures.prompt_tokens += each.prompt_tokens;
    exchange.figures.cached_tokens += each.cached_tokens;
    exchange.figures.computed_tokens += each.prompt_tokens - each.cached_tokens;
  }
  HttpResponse response;
  if (!(*call)->call.ignored.empty()) {
    response.headers.emplace_back("x-reprise-ignored", (*call)->call.ignored);
  }
  response.body = EmbeddingsBody(**call, *finished, service.model.name);
  co_await exchange.Send(std::move(response));
}

}  // namespace reprise
