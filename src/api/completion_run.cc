#include "api/completion_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>
#include <variant>

#include "api/continuation.h"
#include "api/miss_log.h"
#include "api/sse.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

WallTime WallNow() { return std::chrono::system_clock::now(); }

}  // namespace

CompletionRun::CompletionRun(Exchange& exchange, std::shared_ptr<const Call> call,
                             std::string reply_id, std::unique_ptr<const Reply> reply)
    : exchange_(exchange),
      service_(exchange.service),
      call_(std::move(call)),
      reply_(std::move(reply)),
      number_(service_.history.Begin(*call_, {exchange.id(), std::move(reply_id)}, WallNow())),
      choices_(call_->choices()),
      generation_(service_.engine, service_.io) {}

CompletionRun::~CompletionRun() {
  NoteFigures();
  service_.history.NoteEnd(number_, EndState());
}

PastRequest::State CompletionRun::EndState() const {
  const bool finished = std::ranges::all_of(
      choices_, [](const Choice& choice) { return choice.finished.has_value(); });
  if (finished) return PastRequest::State::kFinished;
  return error_ && error_->code != ErrorCode::kCancelled ? PastRequest::State::kFailed
                                                         : PastRequest::State::kCancelled;
}

asio::awaitable<void> CompletionRun::Run() {
  for (size_t i = 0; i < choices_.size(); ++i) {
    const SequenceId sequence = generation_.Submit(RequestOfChoice(*call_, i));
    service_.history.NoteSubmitted(number_, PromptOf(i), sequence);
  }
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
    if (streams() && !co_await ShowStream(std::move(shown), events.empty())) co_return;
  }
  co_await FinishAll();
}

bool CompletionRun::AllLookedUp() const {
  for (size_t i = 0; i < choices_.size(); i += static_cast<size_t>(call_->parameters.choices)) {
    if (!choices_[i].started) return false;
  }
  return true;
}

void CompletionRun::Take(ChoiceEvent& event, std::string& shown) {
  if (auto* started = std::get_if<StartedEvent>(&event.event)) {
    TakeStart(event.choice, *started, shown);
  } else if (auto* text = std::get_if<TextEvent>(&event.event)) {
    TakeText(event.choice, *text, shown);
  } else if (auto* finished = std::get_if<FinishedEvent>(&event.event)) {
    TakeFinish(event.choice, *finished, shown);
  } else if (auto* failed = std::get_if<FailedEvent>(&event.event)) {
    if (!error_) error_ = std::move(failed->error);
  }
}

void CompletionRun::TakeStart(size_t index, StartedEvent& event, std::string& shown) {
  Choice& choice = choices_[index];
  if (index == PromptOf(index) * static_cast<size_t>(call_->parameters.choices)) {
    service_.history.NoteStarted(number_, PromptOf(index), event, WallNow());
    choice.cache_miss = DiagnoseMiss(service_.history, *call_, service_.history.Find(number_));
    LogMiss(service_, number_, PromptOf(index));
  }
  choice.started = std::move(event);
  if (streams()) reply_->ShowStart(index, choice, shown);
}

void CompletionRun::TakeText(size_t index, TextEvent& event, std::string& shown) {
  Choice& choice = choices_[index];
  if (choice.text.empty()) service_.history.NoteComputed(number_, PromptOf(index), WallNow());
  if (exchange_.figures.ttft_ms == 0 && !event.text.empty()) {
    exchange_.figures.ttft_ms = exchange_.ElapsedMs();
    service_.metrics.ObserveTimeToFirstToken(exchange_.figures.ttft_ms / 1000);
  }
  if (streams()) reply_->ShowText(index, event, choice, shown);
  choice.text += event.text;
  if (!streams()) std::ranges::move(event.tokens, std::back_inserter(choice.tokens));
}

void CompletionRun::TakeFinish(size_t index, FinishedEvent& event, std::string& shown) {
  Choice& choice = choices_[index];
  service_.history.NoteComputed(number_, PromptOf(index), WallNow());
  choice.finished = std::move(event);
  if (streams()) reply_->ShowFinish(index, choice, shown);
  if (call_->endpoint != Endpoint::kText) {
    PrefillContinuation(service_, call_, choice.finished->reply, choice.text);
  }
}

std::string CompletionRun::Warning() const {
  std::string warning = call_->warning;
  const auto add = [&](PinDecision refusal, std::string_view sentence) {
    const auto is_refused = [refusal](const BreakpointOutcome& breakpoint) {
      return breakpoint.decision == refusal;
    };
    const bool refused = std::ranges::any_of(choices_, [&](const Choice& choice) {
      return choice.started && std::ranges::any_of(choice.started->breakpoints, is_refused);
    });
    if (refused) warning += fmt::format("{}{}", warning.empty() ? "" : " | ", sentence);
  };
  add(PinDecision::kPoolFull,
      "the server's pinned memory is full: cached without the lifetime asked for");
  add(PinDecision::kTenantFull,
      "this tenant's share of pinned memory is full: cached without the lifetime asked for");
  return warning;
}

HttpResponse CompletionRun::ResponseHead() const {
  HttpResponse head;
  if (AllLookedUp()) {
    const Usage usage = UsageOf(choices_, *call_).prompt;
    head.headers.emplace_back(
        "x-reprise-cache", fmt::format("read={}, write={}, computed={}", usage.read, usage.write(),
                                       usage.total - usage.read));
  }
  if (std::string warning = Warning(); !warning.empty()) {
    head.headers.emplace_back("x-reprise-cache-warning", std::move(warning));
  }
  if (streams()) {
    head.content_type = kSseContentType;
    head.headers.emplace_back("Cache-Control", "no-cache");
  }
  return head;
}

asio::awaitable<void> CompletionRun::Fail(const Error& error) {
  const Fault fault = ToFault(error);
  if (!head_sent_) {
    co_await exchange_.SendFault(fault);
    co_return;
  }
  // The status has been sent, so the error is an event, and the stream ends without its last.
  std::string shown;
  reply_->ShowFault(fault, shown);
  if (co_await exchange_.connection.SendChunk(std::move(shown))) {
    exchange_.completed = co_await exchange_.connection.EndStream();
  }
}

asio::awaitable<bool> CompletionRun::ShowStream(std::string shown, bool waited) {
  held_ += shown;
  if (!head_sent_) {
    if (!AllLookedUp() && !waited) co_return true;
    HttpResponse head = ResponseHead();
    head_sent_ = co_await exchange_.BeginStream(std::move(head));
    if (!head_sent_) co_return false;
  }
  std::string data = std::exchange(held_, {});
  if (data.empty() && waited) data = reply_->ping();
  co_return co_await exchange_.connection.SendChunk(std::move(data));
}

asio::awaitable<void> CompletionRun::FinishAll() {
  const CallUsage usage = UsageOf(choices_, *call_);
  if (!streams()) {
    HttpResponse response = ResponseHead();
    response.body = reply_->Whole(choices_, usage);
    co_await exchange_.Send(std::move(response));
    co_return;
  }
  std::string shown;
  reply_->ShowEnd(usage, shown);
  if (co_await exchange_.connection.SendChunk(std::move(shown))) {
    exchange_.completed = co_await exchange_.connection.EndStream();
  }
}

void CompletionRun::NoteFigures() {
  const CallUsage usage = UsageOf(choices_, *call_);
  CompletionFigures& figures = exchange_.figures;
  figures.prompt_tokens = usage.prompt.total;
  figures.cached_tokens = usage.prompt.read;
  figures.written_tokens = usage.prompt.write();
  figures.generated_tokens = usage.completion_tokens;
  for (const Choice& choice : choices_) {
    if (!choice.finished) continue;
    figures.queue_ms = std::max(figures.queue_ms, choice.finished->queue_ms);
    figures.prefill_ms = std::max(figures.prefill_ms, choice.finished->prefill_ms);
    figures.decode_ms = std::max(figures.decode_ms, choice.finished->decode_ms);
  }
}

}  // namespace reprise
