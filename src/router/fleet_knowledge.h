#pragma once

// All that a router knows of prompts and of what replicas hold: exactly, by the model's tokenizer
// and template and the replicas' events, or guessed by texts (--approximate). I/O thread only, but
// what Reading returns.

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/fleet_limits.h"
#include "fleet/decision.h"
#include "fleet/holdings.h"
#include "router/prompt_reader.h"
#include "router/replica_events.h"
#include "router/replica_link.h"
#include "router/replica_watch.h"
#include "router/reply_parser.h"
#include "router/stored_responses.h"
#include "router/text_prefixes.h"
#include "router/usage_reader.h"
#include "vendor/wire_endpoint.h"

namespace reprise {

class FleetKnowledge {
 public:
  struct Options {
    std::shared_ptr<PromptReader> reader;  // null: --approximate
    size_t max_blocks = 0;
    std::string fleet_token;
    Duration silence = std::chrono::milliseconds(limits::kEventsSilenceMs);  // of events: too long
  };
  FleetKnowledge(boost::asio::any_io_executor io, Options options);
  ~FleetKnowledge();

  // For ReplicaTable::Events: a replica has come; it is gone.
  void Follow(const std::shared_ptr<ReplicaLink>& link);
  void Forget(Replica& replica);
  // A replica's health has changed: what an engine that cannot be followed held is lost with it.
  void NoteHealth(Replica& replica);
  void Stop();

  // What a worker thread is to run to read a prompt; it owns all that it needs.
  std::function<Result<RoutedPrompt>()> Reading(const WireEndpoint& endpoint, std::string body,
                                                std::string tenant) const;
  // reach[replica] of the first reach.size() replicas.
  void Find(const RoutedPrompt& prompt, std::span<Reach> reach) const;
  // What the decision needs of it.
  PromptShape ShapeOf(const RoutedPrompt& prompt) const;

  bool approximate() const { return options_.reader == nullptr; }
  // Brings told.load of a replica that is not followed up to date; before a decision.
  void EstimateLoad(Replica& replica, TimePoint now);
  const Holdings& holdings() const { return holdings_; }
  StoredResponses& responses() { return responses_; }

 private:
  friend class PromptTurn;

  // The prompt's blocks as this replica names them; none where that is not known.
  const std::vector<BlockName>& ChainAt(size_t replica, const RoutedPrompt& prompt) const;
  // Of the replicas that are followed, each once.
  std::vector<ChainBasis> Bases() const;

  const boost::asio::any_io_executor io_;
  const Options options_;
  Holdings holdings_;
  std::optional<ReplicaLore> lore_;                     // not with --approximate
  std::optional<TextPrefixes> texts_;                   // with it
  std::vector<std::shared_ptr<ReplicaWatch>> watches_;  // by number; null: none
  // Of replicas that cannot be followed: expected of what was sent there and has no answer yet; and
  // the pace of the last answers, of all together, since one that was slow once, by what it
  // computed besides, would get nothing any more and stay slow. What is slow indeed has more
  // unanswered.
  std::array<double, limits::kMaxReplicas> unanswered_seconds_ = {};
  std::deque<double> paces_;  // seconds per token
  StoredResponses responses_;
};

// A prompt at a replica, from its being sent there to the end of the answer, of which it is shown
// all that passes: what other engines hold and how fast they are is guessed by it, where a response
// is stored is noted, and what the reply says of usage is found. I/O thread only.
class PromptTurn {
 public:
  // `reach` of this replica, as the decision knew it. Knowledge and replica outlive it.
  PromptTurn(FleetKnowledge& knowledge, Replica& replica,
             std::shared_ptr<const RoutedPrompt> prompt, const Decision& decision,
             const Reach& reach);
  ~PromptTurn();  // without End: the answer has broken off
  PromptTurn(const PromptTurn&) = delete;
  PromptTurn& operator=(const PromptTurn&) = delete;

  // The header and the first bytes behind it have come.
  void Begin(const ReplyHead& head);
  // Bytes of the body, also the first.
  void Put(std::string_view bytes);
  // All has come.
  void End();
  // What the reply has said so far; none: nothing.
  std::optional<PromptUsage> usage() const { return usage_.usage(); }

 private:
  void Answered();
  void ForgetComing();

  FleetKnowledge& knowledge_;
  Replica& replica_;
  const std::shared_ptr<const RoutedPrompt> prompt_;
  const double expected_work_seconds_;
  const size_t expected_read_tokens_;
  const Reach reach_;
  const TimePoint sent_;
  std::vector<BlockName> coming_;  // that it is expected to hold soon
  bool awaited_ = true;            // no answer has begun
  bool answered_ = false;          // an answer that is no refusal has
  bool says_reading_ = false;      // its head says what was read: its usage need not be looked for
  UsageReader usage_;
};

}  // namespace reprise
