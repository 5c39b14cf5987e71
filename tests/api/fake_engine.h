#pragma once

// An Engine that does what a test tells it: it keeps what was submitted, and the test plays the
// engine thread by sending events. Thread-safe.

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "engine/engine.h"

namespace reprise {

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(int vocabulary, int max_sequence_tokens = 4096);

  SequenceId Submit(GenerationRequest request, EventSink sink) override;
  void Cancel(SequenceId id) override;
  void Flush(std::function<void(size_t)> done) override { done(7); }
  void TakeCensus(std::function<void(EngineCensus)> done) override { done(census()); }
  void Wake() override {}
  EngineStats stats() const override { return {}; }
  const ModelConfig& model_config() const override { return config_; }
  int max_sequence_tokens() const override { return max_sequence_tokens_; }

  // What TakeCensus answers.
  void SetCensus(EngineCensus census);
  // Called in place of keeping the request, on the submitting thread.
  void AnswerWith(std::function<void(const GenerationRequest&, const EventSink&)> script);

  // Waits until `count` requests have come in all; false after ten seconds.
  bool WaitForRequests(size_t count);
  bool WaitForCancel(size_t index);
  GenerationRequest request(size_t index);
  size_t requests();
  void Send(size_t index, Event event);

 private:
  struct Submitted {
    GenerationRequest request;
    EventSink sink;
    bool cancelled = false;
  };
  EngineCensus census();
  bool WaitUntil(const std::function<bool()>& condition);  // REQUIRES: lock not held

  ModelConfig config_;
  const int max_sequence_tokens_;
  std::mutex mutex_;
  std::condition_variable changed_;
  EngineCensus census_;
  std::vector<Submitted> submitted_;  // sequence id = index
  std::function<void(const GenerationRequest&, const EventSink&)> script_;
};

// Events as the real engine sends them.
Event Started(int prompt_tokens, int cached_tokens);
Event Text(std::string text);
Event Finished(const GenerationRequest& request, int cached_tokens, std::vector<TokenId> reply,
               FinishReason reason = FinishReason::kStop);

}  // namespace reprise
