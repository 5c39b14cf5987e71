#include "api/completion_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <iterator>
#include <utility>
#include <variant>

#include "api/continuation.h"
#include "api/miss_log.h"
#include "dialect/thinking_budget.h"
#include "generation/usage.h"
#include "history/cache_diagnosis.h"
#include "vendor/sse.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

WallTime WallNow() { return std::chrono::system_clock::now(); }

// What the history keeps of a call that begins.
PastRequest Remembered(const Call& call, const Exchange& exchange, std::string_view endpoint,
                       std::string reply_id, std::shared_ptr<const WorkDone> work) {
  PastRequest request;
  request.request_id = exchange.id();
  request.reply_id = std::move(reply_id);
  request.endpoint = endpoint;
  request.model_name = call.model_name;
  request.tenant = call.tenant;
  request.cache_key = call.cache_key;
  request.cache = call.parameters.cache;
  request.fingerprint = call.fingerprint;
  request.time = WallNow();
  request.work = std::move(work);
  request.prompts.resize(call.prompts.size());
  for (size_t i = 0; i < call.prompts.size(); ++i) {
    request.prompts[i].tokens = call.prompts[i];
    if (i < call.part_spans.size()) request.prompts[i].part_spans = call.part_spans[i];
    if (i < call.breakpoints.size()) request.prompts[i].marks = call.breakpoints[i];
  }
  return request;
}

}  // namespace

CompletionRun::CompletionRun(Exchange& exchange, const WireEndpoint& endpoint,
                             std::shared_ptr<const Call> call, ReplyLabel label)
    : exchange_(exchange),
      service_(exchange.service),
      call_(std::move(call)),
      format_(endpoint.format(label, *call_, service_.model)),
      call_id_prefix_(endpoint.call_id_prefix),
      number_(service_.history.Begin(Remembered(*call_, exchange, endpoint.path, label.id, work_))),
      choices_(call_->choices()),
      text_ms_(choices_.size()),
      reply_memory_(exchange.request.memory->Another()),
      generation_(service_.engine, service_.io, reply_memory_) {
  service_.runs.insert(this);
  service_.followers.NoteLoad();
  service_.watchers.NoteRequest(number_);
}

CompletionRun::~CompletionRun() {
  service_.runs.erase(this);
  service_.followers.NoteLoad();
  NoteFigures();
  CountWork(Service::SecondsSince1970());
  service_.history.NoteEnd(number_, EndState());
  service_.watchers.NoteRequest(number_);
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
    GenerationRequest request = RequestOfChoice(*call_, i, service_.model);
    choices_[i].reader = ReaderOfChoice(*call_, service_.model);
    request.work = work_;
    if (call_->is_conversation() && service_.options.before_submit) {
      service_.options.before_submit(*call_, *service_.model.tokenizer, request);
    }
    const SequenceId sequence = generation_.Submit(std::move(request));
    service_.history.NoteSubmitted(number_, PromptOf(i), sequence);
  }
  while (!generation_.all_ended()) {
    std::vector<ChoiceEvent> arrived = co_await generation_.Next();
    if (generation_.overflowed()) {
      exchange_.connection.Close();
      co_return;
    }
    std::string events;
    for (ChoiceEvent& event : arrived) Take(event, events);
    if (error_) {
      co_await Fail(*error_);
      co_return;
    }
    if (streams() && !co_await SendStream(std::move(events), arrived.empty())) co_return;
  }
  co_await FinishAll();
}

bool CompletionRun::started() const {
  return std::ranges::any_of(choices_,
                             [](const Choice& choice) { return choice.started.has_value(); });
}

bool CompletionRun::AllLookedUp() const {
  for (size_t i = 0; i < choices_.size(); i += choices_per_prompt()) {
    if (!choices_[i].started) return false;
  }
  return true;
}

void CompletionRun::Take(ChoiceEvent& event, std::string& events) {
  if (auto* started = std::get_if<StartedEvent>(&event.event)) {
    TakeStart(event.choice, *started, events);
  } else if (auto* text = std::get_if<TextEvent>(&event.event)) {
    TakeText(event.choice, *text, events);
  } else if (auto* finished = std::get_if<FinishedEvent>(&event.event)) {
    TakeFinish(event.choice, *finished, events);
  } else if (auto* failed = std::get_if<FailedEvent>(&event.event)) {
    if (!error_) error_ = std::move(failed->error);
  }
}

void CompletionRun::TakeStart(size_t index, StartedEvent& event, std::string& events) {
  Choice& choice = choices_[index];
  if (index == PromptOf(index) * choices_per_prompt()) {
    service_.history.NoteStarted(number_, PromptOf(index), event, WallNow());
    // When what is ready has been sent: it compares the prompt with all of the tenant's history.
    asio::post(service_.io, [&service = service_, number = number_, prompt = PromptOf(index)] {
      NoteReason(service, number, prompt);
    });
    NoteLookup(PromptOf(index), event);
    choice.cache_miss = Diagnosis();
  }
  choice.started = std::move(event);
  if (streams()) format_->WriteStart(index, choice, events);
}

void CompletionRun::TakeText(size_t index, TextEvent& event, std::string& events) {
  Choice& choice = choices_[index];
  // Its text is kept as it came and in parts.
  if (!streams() && !HoldReply(reply_bytes_ + BytesOf(event) + event.text.size())) return;
  if (choice.text.empty()) service_.history.NoteComputed(number_, PromptOf(index), WallNow());
  if (exchange_.figures.ttft_ms == 0 && !event.text.empty()) {
    NoteFirstText();
  }
  if (!event.text.empty()) NoteTextTime(index);
  std::ranges::move(event.tokens, std::back_inserter(choice.tokens));
  if (choice.reader != nullptr) {
    TakePieces(index, choice.reader->Push(event.text), events);
  } else if (!event.text.empty() || !choice.tokens.empty()) {
    TakePieces(index, {{ReplyPiece::Kind::kText, event.text}}, events);
  }
  choice.text += event.text;
}

void CompletionRun::NoteTextTime(size_t index) {
  const double now = exchange_.ElapsedMs();
  double& last = text_ms_[index];
  if (last > 0) service_.metrics.ObserveBetweenTokens((now - last) / 1000);
  last = now;
}

void CompletionRun::NoteLookup(size_t prompt, const StartedEvent& event) {
  service_.metrics.ObserveLookup(event);
  LedgerFigures figures;
  figures.work.requests = prompt == 0 ? 1 : 0;
  figures.work.prompt = static_cast<uint64_t>(event.prompt_tokens);
  figures.work.read = static_cast<uint64_t>(event.cached_tokens);
  figures.work.saved_seconds = event.saved_seconds;
  service_.ledger.Add(call_->tenant, Service::SecondsSince1970(), figures);
  service_.watchers.NoteRequest(number_);
}

void CompletionRun::NoteFirstText() {
  const double ms = exchange_.ElapsedMs();
  exchange_.figures.ttft_ms = ms;
  service_.history.NoteFirstText(number_, ms);
  size_t prompt = 0, read = 0;
  for (const Choice& choice : choices_) {
    if (!choice.started) continue;
    prompt += static_cast<size_t>(choice.started->prompt_tokens);
    read += static_cast<size_t>(choice.started->cached_tokens);
  }
  const bool hit = IsHit(prompt, read);
  service_.metrics.ObserveFirstToken(ms / 1000, hit);
  LedgerFigures figures;
  (hit ? figures.cached : figures.cold).Add(ms);
  service_.ledger.Add(call_->tenant, Service::SecondsSince1970(), figures);
  service_.watchers.NoteRequest(number_);
}

void CompletionRun::CountWork(int64_t now) {
  LedgerFigures figures;
  const int computed = work_->computed, generated = work_->generated;
  if (computed == counted_computed_ && generated == counted_generated_) return;
  figures.work.computed = static_cast<uint64_t>(computed - counted_computed_);
  figures.work.generated = static_cast<uint64_t>(generated - counted_generated_);
  counted_computed_ = computed;
  counted_generated_ = generated;
  service_.ledger.Add(call_->tenant, now, figures);
}

void CompletionRun::TakePieces(size_t index, const std::vector<ReplyPiece>& pieces,
                               std::string& events) {
  Choice& choice = choices_[index];
  for (const ReplyPiece& piece : pieces) {
    const bool is_call = piece.kind == ReplyPiece::Kind::kCall;
    const bool begins =
        choice.Add(piece, is_call ? Service::NewId(call_id_prefix_) : std::string());
    if (streams()) format_->WritePiece(index, piece, begins, choice, events);
  }
}

void CompletionRun::TakeFinish(size_t index, FinishedEvent& event, std::string& events) {
  Choice& choice = choices_[index];
  service_.history.NoteComputed(number_, PromptOf(index), WallNow());
  service_.metrics.ObserveQueue(event.queue_ms / 1000);
  choice.finished = std::move(event);
  if (choice.reader != nullptr) {
    const bool cut = choice.finished->reason != FinishReason::kStop;
    TakePieces(index, choice.reader->Finish(cut), events);
    choice.thinking_tokens = CountThinking(service_.model.dialect, *service_.model.tokenizer,
                                           call_->in_thinking, choice.finished->reply);
  }
  if (streams()) format_->WriteFinish(index, choice, events);
  if (call_->is_conversation()) {
    PrepareNextTurn(service_, exchange_.Order(), call_, choice);
  }
}

std::optional<CacheMissReason> CompletionRun::Diagnosis() const {
  if (!call_->diagnostics || !call_->diagnostics->previous_message_id) return std::nullopt;
  return DiagnoseMiss(service_.history, call_->tenant, *call_->diagnostics->previous_message_id,
                      service_.history.Find(number_));
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
    const Usage usage = UsageOf(choices_, choices_per_prompt()).prompt;
    std::string figures = fmt::format("read={}, write={}, computed={}", usage.read, usage.write(),
                                      usage.total - usage.read);
    for (const TierKind kind : kTierKinds) {
      size_t stored = 0;
      for (size_t i = 0; i < choices_.size(); i += choices_per_prompt()) {
        stored += choices_[i].started->stored[kind];
      }
      if (stored > 0) figures += fmt::format(", {}={}", ToText(kind), stored);
    }
    head.headers.emplace_back("x-reprise-cache", std::move(figures));
  }
  if (!call_->ignored.empty()) head.headers.emplace_back("x-reprise-ignored", call_->ignored);
  if (std::string warning = Warning(); !warning.empty()) {
    head.headers.emplace_back("x-reprise-cache-warning", std::move(warning));
  }
  if (std::string id = format_->stored_id(); !id.empty()) {
    head.headers.emplace_back("x-reprise-stored-response", std::move(id));
  }
  if (streams()) {
    head.content_type = kSseContentType;
    head.headers.emplace_back("Cache-Control", "no-cache");
  }
  return head;
}

asio::awaitable<void> CompletionRun::Fail(const Error& error) {
  if (!head_sent_) {
    co_await exchange_.SendError(error);
    co_return;
  }
  // The status has been sent, so the error is an event, and the stream ends without its last.
  std::string events;
  format_->WriteError(error, events);
  if (co_await exchange_.connection.SendChunk(std::move(events))) {
    exchange_.completed = co_await exchange_.connection.EndStream();
  }
}

asio::awaitable<bool> CompletionRun::SendStream(std::string events, bool waited) {
  held_ += events;
  if (!head_sent_) {
    if (!AllLookedUp() && !waited) co_return true;
    HttpResponse head = ResponseHead();
    head_sent_ = co_await exchange_.BeginStream(std::move(head));
    if (!head_sent_) co_return false;
  }
  std::string data = std::exchange(held_, {});
  if (data.empty() && waited) data = format_->ping();
  if (!HoldReply(data.size())) {
    exchange_.connection.Close();
    co_return false;
  }
  const bool sent = co_await exchange_.connection.SendChunk(std::move(data));
  HoldReply(0);
  co_return sent;
}

asio::awaitable<void> CompletionRun::FinishAll() {
  const CallUsage usage = UsageOf(choices_, choices_per_prompt());
  if (!streams()) {
    HttpResponse response = ResponseHead();
    response.body = format_->Body(choices_, usage);
    if (!HoldReply(response.body.size())) {
      co_await Fail(*error_);
      co_return;
    }
    co_await exchange_.Send(std::move(response));
    co_return;
  }
  std::string events;
  format_->WriteEnd(usage, events);
  if (co_await exchange_.connection.SendChunk(std::move(events))) {
    exchange_.completed = co_await exchange_.connection.EndStream();
  }
}

bool CompletionRun::HoldReply(size_t bytes) {
  reply_bytes_ = bytes;
  if (bytes <= limits::kUncountedReplyBytes || reply_memory_.Resize(bytes)) return true;
  error_ = NoRequestMemory();
  return false;
}

void CompletionRun::NoteFigures() {
  const CallUsage usage = UsageOf(choices_, choices_per_prompt());
  CompletionFigures& figures = exchange_.figures;
  figures.prompt_tokens = usage.prompt.total;
  figures.cached_tokens = usage.prompt.read;
  figures.written_tokens = usage.prompt.write();
  figures.computed_tokens = work_->computed;
  figures.generated_tokens = work_->generated;
  for (const Choice& choice : choices_) {
    if (!choice.finished) continue;
    figures.queue_ms = std::max(figures.queue_ms, choice.finished->queue_ms);
    figures.prefill_ms = std::max(figures.prefill_ms, choice.finished->prefill_ms);
    figures.decode_ms = std::max(figures.decode_ms, choice.finished->decode_ms);
  }
}

}  // namespace reprise
