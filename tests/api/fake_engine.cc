#include "fake_engine.h"

#include <chrono>
#include <utility>

namespace reprise {

FakeEngine::FakeEngine(int vocabulary, int max_sequence_tokens)
    : max_sequence_tokens_(max_sequence_tokens) {
  config_.vocabulary = vocabulary;
  config_.context = max_sequence_tokens;
}

SequenceId FakeEngine::Submit(GenerationRequest request, EventSink sink) {
  std::function<void(const GenerationRequest&, const EventSink&)> script;
  SequenceId id;
  {
    const std::lock_guard lock(mutex_);
    id.value = submitted_.size();
    script = script_;
    submitted_.push_back({request, sink});
    changed_.notify_all();
  }
  if (script) script(request, sink);
  return id;
}

void FakeEngine::Cancel(SequenceId id) {
  const std::lock_guard lock(mutex_);
  submitted_[id.value].cancelled = true;
  changed_.notify_all();
}

void FakeEngine::SetCensus(EngineCensus census) {
  const std::lock_guard lock(mutex_);
  census_ = std::move(census);
}

EngineCensus FakeEngine::census() {
  const std::lock_guard lock(mutex_);
  return census_;
}

void FakeEngine::AnswerWith(
    std::function<void(const GenerationRequest&, const EventSink&)> script) {
  const std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

bool FakeEngine::WaitUntil(const std::function<bool()>& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), condition);
}

bool FakeEngine::WaitForRequests(size_t count) {
  return WaitUntil([this, count] { return submitted_.size() >= count; });
}

bool FakeEngine::WaitForCancel(size_t index) {
  return WaitUntil([this, index] { return submitted_[index].cancelled; });
}

GenerationRequest FakeEngine::request(size_t index) {
  const std::lock_guard lock(mutex_);
  return submitted_[index].request;
}

size_t FakeEngine::requests() {
  const std::lock_guard lock(mutex_);
  return submitted_.size();
}

void FakeEngine::Send(size_t index, Event event) {
  EventSink sink;
  {
    const std::lock_guard lock(mutex_);
    sink = submitted_[index].sink;
  }
  sink(std::move(event));
}

Event Started(int prompt_tokens, int cached_tokens) {
  return StartedEvent{prompt_tokens, cached_tokens};
}

Event Text(std::string text) {
  TextEvent event;
  event.text = std::move(text);
  return event;
}

Event Finished(const GenerationRequest& request, int cached_tokens, std::vector<TokenId> reply,
               FinishReason reason) {
  FinishedEvent event;
  event.reason = reason;
  event.prompt_tokens = static_cast<int>(request.prompt.size());
  event.cached_tokens = cached_tokens;
  event.completion_tokens = static_cast<int>(reply.size());
  event.reply = std::move(reply);
  event.logits_checksum = 0xABC;
  return event;
}

}  // namespace reprise
