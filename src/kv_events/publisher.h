#pragma once

// Publishes which blocks memory holds over ZeroMQ, as vLLM does (event_batch.h has the payload):
//
//   PUB     [topic, number, payload], the number in eight bytes, the highest first, from 0
//   ROUTER  asked with ["", number], answers for each batch from there on
//           ["", topic, number, payload], and at the end ["", "", eight bytes of 0xff, ""]
//
// as vllm/distributed/kv_events.py does since its replies carry the topic, which llm-d-router's
// pkg/kvevents/zmq_subscriber.go wants. (Before, and in SGLang, they had no topic.) What is no
// longer kept is answered with a whole: replay_history.h.
//
// What stores below memory hold is not told: the form has no place for blocks without tokens that
// readers would find. Nor is the scope: blocks of two tenants have two names, but readers that hash
// tokens by themselves take them for one.
//
// The engine hands its changes over without waiting; a thread of the publisher's own does the rest.
// Of too many that wait, all are dropped, and the difference is told by a snapshot. Nobody needs to
// prove who they are: whoever can connect reads prompts' tokens.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "kv_events/event_batch.h"
#include "tiers/block_changes.h"

namespace reprise {

struct PublisherOptions {
  std::string address;         // tcp://HOST:PORT, as ZmqSocket::Listen takes it
  std::string replay_address;  // the same; empty: nothing is replayed
  std::string topic;
  size_t block_tokens = 32;
  EventEncoding encoding = EventEncoding::kMap;
};

class KvEventPublisher {
 public:
  // As Engine::WatchBlocks of memory with tokens, from any thread.
  using Watch = std::function<void(BlockSink sink)>;

  // An Error: where it cannot listen, and why. `watch` is called until the publisher ends.
  static Result<std::unique_ptr<KvEventPublisher>> Start(PublisherOptions options, Watch watch);
  virtual ~KvEventPublisher() = default;  // publishes what was handed over, then ends

  // With the ports that were chosen.
  virtual const std::string& address() const = 0;
  virtual const std::string& replay_address() const = 0;
};

}  // namespace reprise
