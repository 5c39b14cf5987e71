#include "api/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/call.h"
#include "api/continuation.h"
#include "api/generation.h"
#include "api/openai_reply.h"
#include "api/sse.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

int64_t SecondsSince1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

ReplyLabel LabelOf(const Call& call, Service& service) {
  const CompletionParameters& parameters = call.parameters;
  ReplyLabel label;
  label.endpoint = call.endpoint;
  label.id = service.NewId(call.endpoint == Endpoint::kChat ? "chatcmpl-" : "cmpl-");
  label.created = SecondsSince1970();
  label.model = service.model.name;
  label.logprobs = parameters.top_logprobs >= 0;
  label.stream = parameters.stream;
  label.usage_in_stream = parameters.include_usage;
  label.checksum = service.options.expose_logits_checksum;
  return label;
}

// One call while it runs.
class Completion {
 public:
  Completion(Exchange& exchange, std::shared_ptr<const Call> call)
      : exchange_(exchange),
        service_(exchange.service),
        call_(std::move(call)),
        reply_(LabelOf(*call_, service_), *service_.model.tokenizer),
        choices_(call_->choices()),
        generation_(service_.engine, service_.io) {}
  ~Completion() { NoteFigures(); }
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  asio::awaitable<void> Run();

 private:
  bool streams() const { return call_->parameters.stream; }
  // Each prompt's first choice; its others may wait for it to be computed.
  bool AllLookedUp() const;
  // Takes in one event; what a stream shows of it is added to `shown`.
  void Take(ChoiceEvent& event, std::string& shown);
  void TakeText(size_t index, TextEvent& event, std::string& shown);
  void TakeFinish(size_t index, FinishedEvent& event, std::string& shown);
  HttpResponse ResponseHead() const;
  asio::awaitable<void> Fail(const Error& error);
  asio::awaitable<bool> ShowStream(std::string shown);  // false: the client is gone
  asio::awaitable<void> FinishAll();
  void NoteFigures();

  Exchange& exchange_;
  Service& service_;
  const std::shared_ptr<const Call> call_;
  const OpenAiReply reply_;
  std::vector<Choice> choices_;
  std::optional<Error> error_;  // the first that a choice failed with
  bool head_sent_ = false;      // of a stream
  std::string held_;            // of a stream, until its head is sent
  Generation generation_;       // last: ends first
};

asio::awaitable<void> Completion::Run() {
  for (size_t i = 0; i < choices_.size(); ++i) generation_.Submit(RequestOfChoice(*call_, i));
  while (!generation_.all_ended()) {
    std::vector<ChoiceEvent> events = co_await generation_.Next();
    if (generation_.overflowed()) {
      exchange_.connection.Close();
      co_return;
    }
    std::string shown;
    for (ChoiceEvent& event : events) Take(event, shown);
    if (error_) {
      co_await Fail(*error_);
      co_return;
    }
    if (events.empty() && head_sent_) shown = kSsePing;
    if (streams() && !co_await ShowStream(std::move(shown))) co_return;
  }
  co_await FinishAll();
}

bool Completion::AllLookedUp() const {
  for (size_t i = 0; i < choices_.size(); i += static_cast<size_t>(call_->parameters.choices)) {
    if (!choices_[i].started) return false;
  }
  return true;
}

void Completion::Take(ChoiceEvent& event, std::string& shown) {
  Choice& choice = choices_[event.choice];
  if (auto* started = std::get_if<StartedEvent>(&event.event)) {
    choice.started = *started;
    if (streams() && call_->endpoint == Endpoint::kChat) {
      AppendSseEvent(shown, reply_.RoleChunk(event.choice));
    }
  } else if (auto* text = std::get_if<TextEvent>(&event.event)) {
    TakeText(event.choice, *text, shown);
  } else if (auto* finished = std::get_if<FinishedEvent>(&event.event)) {
    TakeFinish(event.choice, *finished, shown);
  } else if (auto* failed = std::get_if<FailedEvent>(&event.event)) {
    if (!error_) error_ = std::move(failed->error);
  }
}

void Completion::TakeText(size_t index, TextEvent& event, std::string& shown) {
  Choice& choice = choices_[index];
  if (exchange_.figures.ttft_ms == 0 && !event.text.empty()) {
    exchange_.figures.ttft_ms = exchange_.ElapsedMs();
    service_.metrics.ObserveTimeToFirstToken(exchange_.figures.ttft_ms / 1000);
  }
  if (streams()) AppendSseEvent(shown, reply_.TextChunk(index, event, choice));
  choice.text += event.text;
  if (!streams()) std::ranges::move(event.tokens, std::back_inserter(choice.tokens));
}

void Completion::TakeFinish(size_t index, FinishedEvent& event, std::string& shown) {
  Choice& choice = choices_[index];
  choice.finished = std::move(event);
  if (streams()) AppendSseEvent(shown, reply_.FinishChunk(index, *choice.finished));
  if (call_->endpoint == Endpoint::kChat) {
    PrefillContinuation(service_, call_, choice.finished->reply, choice.text);
  }
}

HttpResponse Completion::ResponseHead() const {
  const Usage usage = UsageOf(choices_, *call_);
  HttpResponse head;
  head.headers.emplace_back("x-reprise-cache",
                            fmt::format("read={}, write=0, computed={}", usage.cached_tokens,
                                        usage.prompt_tokens - usage.cached_tokens));
  if (streams()) {
    head.content_type = kSseContentType;
    head.headers.emplace_back("Cache-Control", "no-cache");
  }
  return head;
}

asio::awaitable<void> Completion::Fail(const Error& error) {
  const Fault fault = ToFault(error);
  if (!head_sent_) {
    co_await exchange_.SendFault(fault);
    co_return;
  }
  // The status has been sent, so the error is an event, and the stream ends without its [DONE].
  std::string shown;
  AppendSseEvent(shown, OpenAiErrorBody(fault));
  if (co_await exchange_.connection.SendChunk(std::move(shown))) {
    exchange_.completed = co_await exchange_.connection.EndStream();
  }
}

asio::awaitable<bool> Completion::ShowStream(std::string shown) {
  held_ += shown;
  if (!head_sent_) {
    if (!AllLookedUp()) co_return true;
    HttpResponse head = ResponseHead();
    head_sent_ = co_await exchange_.BeginStream(std::move(head));
    if (!head_sent_) co_return false;
  }
  std::string data = std::exchange(held_, {});
  co_return co_await exchange_.connection.SendChunk(std::move(data));
}

asio::awaitable<void> Completion::FinishAll() {
  const Usage usage = UsageOf(choices_, *call_);
  if (!streams()) {
    HttpResponse response = ResponseHead();
    response.body = reply_.Whole(choices_, usage);
    co_await exchange_.Send(std::move(response));
    co_return;
  }
  std::string shown;
  if (call_->parameters.include_usage) AppendSseEvent(shown, reply_.UsageChunk(usage));
  shown += kSseDone;
  if (co_await exchange_.connection.SendChunk(std::move(shown))) {
    exchange_.completed = co_await exchange_.connection.EndStream();
  }
}

void Completion::NoteFigures() {
  const Usage usage = UsageOf(choices_, *call_);
  CompletionFigures& figures = exchange_.figures;
  figures.prompt_tokens = usage.prompt_tokens;
  figures.cached_tokens = usage.cached_tokens;
  figures.generated_tokens = usage.completion_tokens;
  for (const Choice& choice : choices_) {
    if (!choice.finished) continue;
    figures.queue_ms = std::max(figures.queue_ms, choice.finished->queue_ms);
    figures.prefill_ms = std::max(figures.prefill_ms, choice.finished->prefill_ms);
    figures.decode_ms = std::max(figures.decode_ms, choice.finished->decode_ms);
  }
}

asio::awaitable<void> HandleCompletion(Exchange& exchange, Endpoint endpoint) {
  using CallPointer = std::shared_ptr<const Call>;
  Service& service = exchange.service;
  std::function<Result<CallPointer>()> read = [endpoint, body = std::move(exchange.request.body),
                                               seed = service.NextRandom(),
                                               &model = service.model]() -> Result<CallPointer> {
    Result<Call> call = ReadCall(endpoint, body, seed, model);
    if (!call) return std::unexpected(std::move(call).error());
    return std::make_shared<const Call>(std::move(*call));
  };
  Result<CallPointer> call = co_await service.OnWorker(std::move(read));
  if (!call) {
    co_await exchange.SendFault(ToFault(call.error()));
    co_return;
  }
  Completion completion(exchange, std::move(*call));
  co_await completion.Run();
}

}  // namespace

asio::awaitable<void> HandleChatCompletion(Exchange& exchange) {
  co_await HandleCompletion(exchange, Endpoint::kChat);
}

asio::awaitable<void> HandleTextCompletion(Exchange& exchange) {
  co_await HandleCompletion(exchange, Endpoint::kText);
}

}  // namespace reprise
