#pragma once

// All that a router knows of prompts and of what replicas hold: exactly, by the model's tokenizer
// and template and the replicas' events, or guessed by texts (--approximate). I/O thread only, but
// what Reading returns.

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "fleet/decision.h"
#include "fleet/holdings.h"
#include "router/prompt_reader.h"
#include "router/replica_events.h"
#include "router/replica_link.h"
#include "router/replica_watch.h"
#include "router/stored_responses.h"
#include "router/text_prefixes.h"
#include "router/usage_reader.h"
#include "vendor/wire_endpoint.h"

namespace reprise {

class FleetKnowledge {
 public:
  struct Options {
    std::shared_ptr<PromptReader> reader;  // null: --approximate
    std::string template_source;           // of the reader's model
    size_t max_blocks = 0;
    std::string fleet_token;
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

  // A replica's answer has begun, after `seconds`, `expected` having been expected of it.
  void NoteAnswered(Replica& replica, const RoutedPrompt& prompt, const Reach& expected,
                    double seconds);
  // An answer has ended, and has said so.
  void NoteUsage(Replica& replica, const RoutedPrompt& prompt, const Reach& expected,
                 const PromptUsage& usage);

  bool approximate() const { return options_.reader == nullptr; }
  const Holdings& holdings() const { return holdings_; }
  StoredResponses& responses() { return responses_; }

 private:
  // Of the replicas that are followed, each once.
  std::vector<ChainBasis> Bases() const;

  const boost::asio::any_io_executor io_;
  const Options options_;
  Holdings holdings_;
  std::optional<ReplicaLore> lore_;                     // not with --approximate
  std::optional<TextPrefixes> texts_;                   // with it
  std::vector<std::shared_ptr<ReplicaWatch>> watches_;  // by number; null: none
  StoredResponses responses_;
};

}  // namespace reprise
