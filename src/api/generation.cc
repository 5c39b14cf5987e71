#include "api/generation.h"

#include <utility>
#include <variant>

#include "base/limits.h"

namespace reprise {
size_t BytesOf(const Event& event) {
  size_t bytes = sizeof(ChoiceEvent);
  if (const auto* text = std::get_if<TextEvent>(&event)) {
    bytes += text->text.size();
    for (const TokenInfo& token : text->tokens) {
      bytes += sizeof(TokenInfo) + token.top.size() * sizeof(TokenLogprob);
    }
  }
  return bytes;
}

Generation::Generation(Engine& engine, boost::asio::any_io_executor executor,
                       const MemoryShare& memory)
    : engine_(engine),
      mailbox_(std::make_shared<Mailbox<ChoiceEvent>>(
          std::move(executor), limits::kMaxStreamBacklogBytes, memory.Another())) {
  mailbox_->OnOverflow([this] { CancelRest(); });
}

Generation::~Generation() {
  mailbox_->Close();
  CancelRest();
}

void Generation::CancelRest() {
  for (Sequence& sequence : sequences_) {
    if (!std::exchange(sequence.ended, true)) engine_.Cancel(sequence.id);
  }
  ended_ = sequences_.size();
}

void Generation::Abort(const Error& error) {
  for (size_t choice = 0; choice < sequences_.size(); ++choice) {
    if (sequences_[choice].ended) continue;
    mailbox_->Post({choice, FailedEvent{error}}, 0);
    engine_.Cancel(sequences_[choice].id);
  }
}

SequenceId Generation::Submit(GenerationRequest request) {
  const size_t choice = sequences_.size();
  sequences_.push_back({});
  sequences_.back().id =
      engine_.Submit(std::move(request), [mailbox = mailbox_, choice](Event&& event) {
        const size_t bytes = BytesOf(event);
        mailbox->Post({choice, std::move(event)}, bytes);
      });
  return sequences_.back().id;
}

boost::asio::awaitable<std::vector<ChoiceEvent>> Generation::Next() {
  std::vector<ChoiceEvent> events =
      co_await mailbox_->Receive(std::chrono::seconds(limits::kStreamPingSeconds));
  for (const ChoiceEvent& event : events) {
    const bool ends = std::holds_alternative<FinishedEvent>(event.event) ||
                      std::holds_alternative<FailedEvent>(event.event);
    if (ends && !std::exchange(sequences_[event.choice].ended, true)) ++ended_;
  }
  co_return events;
}

}  // namespace reprise
