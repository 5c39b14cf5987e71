#pragma once

// One call while it runs: submits its choices to the engine and shows the events as they come, in
// whatever shape the vendor's ReplyFormat gives them. The header of the response waits until the
// prompt has been looked up, so that errors before that have a proper status and x-reprise-cache is
// known; a stream that has waited for limits::kStreamPingSeconds begins without it, because clients
// give up on silence. Lives in the handler's coroutine; I/O thread only.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/exchange.h"
#include "api/generation.h"
#include "vendor/call.h"
#include "vendor/reply_format.h"
#include "vendor/wire_endpoint.h"

namespace reprise {

class CompletionRun {
 public:
  CompletionRun(Exchange& exchange, const WireEndpoint& endpoint, std::shared_ptr<const Call> call,
                ReplyLabel label);
  ~CompletionRun();
  CompletionRun(const CompletionRun&) = delete;
  CompletionRun& operator=(const CompletionRun&) = delete;

  boost::asio::awaitable<void> Run();
  // Whether the engine has taken it up.
  bool started() const;
  // Has it end with an error; what it has said until then stands. I/O thread, while it runs.
  void Abort(const Error& error) { generation_.Abort(error); }
  // What it has done since it was last counted goes into the ledger. I/O thread.
  void CountWork(int64_t now);

 private:
  bool streams() const { return call_->parameters.stream; }
  // Each prompt's first choice; its others may wait for it to be computed.
  bool AllLookedUp() const;
  // Takes in one event; what a stream shows of it is added to `events`.
  void Take(ChoiceEvent& event, std::string& events);
  void TakeStart(size_t index, StartedEvent& event, std::string& events);
  void TakeText(size_t index, TextEvent& event, std::string& events);
  void TakePieces(size_t index, const std::vector<ReplyPiece>& pieces, std::string& events);
  void TakeFinish(size_t index, FinishedEvent& event, std::string& events);
  // Where the client asked for it: why less was read than its previous request left.
  std::optional<CacheMissReason> Diagnosis() const;
  std::string Warning() const;
  HttpResponse ResponseHead() const;
  boost::asio::awaitable<void> Fail(const Error& error);
  // False: the client is gone. `waited`: nothing has come for a while.
  boost::asio::awaitable<bool> SendStream(std::string events, bool waited);
  boost::asio::awaitable<void> FinishAll();
  // `bytes` of the reply are held, not counting what waits in generation_. False, with error_: no
  // memory for them.
  bool HoldReply(size_t bytes);
  void NoteFigures();
  void NoteLookup(size_t prompt, const StartedEvent& event);
  void NoteFirstText();
  void NoteTextTime(size_t index);
  size_t choices_per_prompt() const { return static_cast<size_t>(call_->parameters.choices); }
  size_t PromptOf(size_t choice) const { return choice / choices_per_prompt(); }
  // How it ended, for the history.
  PastRequest::State EndState() const;

  Exchange& exchange_;
  Service& service_;
  const std::shared_ptr<const Call> call_;
  const std::unique_ptr<const ReplyFormat> format_;
  const std::string_view call_id_prefix_;
  const std::shared_ptr<WorkDone> work_ = std::make_shared<WorkDone>();
  const uint64_t number_;                             // in the history
  int counted_computed_ = 0, counted_generated_ = 0;  // of work_, in the ledger
  std::vector<Choice> choices_;
  std::vector<double>
      text_ms_;                 // by choice: when its last text came, since the header; 0: none yet
  std::optional<Error> error_;  // the first that a choice failed with
  bool head_sent_ = false;      // of a stream
  std::string held_;            // of a stream, until its head is sent
  size_t reply_bytes_ = 0;      // held, see HoldReply
  MemoryShare reply_memory_;    // counts them
  Generation generation_;       // last: ends first
};

}  // namespace reprise
