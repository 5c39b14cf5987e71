#pragma once

// A reply in the one form that every vendor's replies are made from: the events of a running call
// (generation/request.h) gathered choice by choice, and the interface by which a vendor writes them
// as a body or as server-sent events. One a call; not thread-safe.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "generation/request.h"
#include "generation/usage.h"
#include "vendor/choice.h"

namespace reprise {

// What a reply says of itself.
struct ReplyLabel {
  std::string id;          // msg_…, chatcmpl-…
  std::string request_id;  // req_…
  int64_t created = 0;     // seconds since 1970
  std::string model;
  bool checksum = false;  // show logits_checksum
};

// Of the whole call: each prompt counts once, as its first choice found it.
struct CallUsage {
  Usage prompt;
  int completion_tokens = 0;
  int thinking_tokens = 0;  // of those
  // Of what the client predicted: tokens that became replies', and that were computed in vain.
  int accepted_prediction_tokens = 0;
  int rejected_prediction_tokens = 0;
};
// `choices_per_prompt`: n
CallUsage UsageOf(const std::vector<Choice>& choices, size_t choices_per_prompt);

class ReplyFormat {
 public:
  virtual ~ReplyFormat() = default;

  // The body of an unstreamed reply. REQUIRES: every choice has finished.
  virtual std::string Body(std::vector<Choice>& choices, const CallUsage& usage) const = 0;

  // Of a stream: each appends the server-sent events that a client is sent for it. A piece has been
  // added to the choice; `begins`: as a new part. Log probabilities that are written are taken out
  // of the choice.
  virtual void WriteStart(size_t index, const Choice& choice, std::string& stream) const = 0;
  virtual void WritePiece(size_t index, const ReplyPiece& piece, bool begins, Choice& choice,
                          std::string& stream) const = 0;
  virtual void WriteFinish(size_t index, Choice& choice, std::string& stream) const = 0;
  virtual void WriteEnd(const CallUsage& usage, std::string& stream) const = 0;
  virtual void WriteError(const Error& error, std::string& stream) const = 0;
  // By which the reply can be gone on from once it has ended; empty: it is not stored.
  virtual std::string stored_id() const { return {}; }
  // Sent when there has been nothing else to send for a while.
  virtual std::string_view ping() const = 0;
};

}  // namespace reprise
