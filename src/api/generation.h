#pragma once

// What one call runs in the engine: a sequence a choice, whose events meet in one mailbox. Its end,
// by whatever way the coroutine that holds it ends, cancels what is still running. I/O thread only.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <vector>

#include "base/memory_budget.h"
#include "engine/engine.h"
#include "generation/request.h"
#include "http/mailbox.h"

namespace reprise {

struct ChoiceEvent {
  size_t choice = 0;
  Event event;
};

// What an event holds while it waits or is kept, about.
size_t BytesOf(const Event& event);

class Generation {
 public:
  // Events that wait count in `memory`'s budget.
  Generation(Engine& engine, boost::asio::any_io_executor executor, const MemoryShare& memory);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  SequenceId Submit(GenerationRequest request);  // the next choice

  // Cancels what is running, and Next will say why.
  void Abort(const Error& error);

  // The events since the last call, at least one; none when nothing came for
  // limits::kStreamPingSeconds, or when overflowed().
  boost::asio::awaitable<std::vector<ChoiceEvent>> Next();
  // The client read too slowly (limits::kMaxStreamBacklogBytes, or less where memory for requests
  // is short): all is cancelled.
  bool overflowed() const { return mailbox_->overflowed(); }
  bool all_ended() const { return ended_ == sequences_.size(); }

 private:
  struct Sequence {
    SequenceId id;
    bool ended = false;
  };
  void CancelRest();

  Engine& engine_;
  std::shared_ptr<Mailbox<ChoiceEvent>> mailbox_;
  std::vector<Sequence> sequences_;  // by choice
  size_t ended_ = 0;
};

}  // namespace reprise
