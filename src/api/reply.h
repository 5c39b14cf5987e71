#pragma once

// What a running call has brought so far, and the interface to how a vendor shows it: events in,
// bodies and server-sent events out. One a call; not thread-safe.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/cache_diagnosis.h"
#include "api/call.h"
#include "api/errors.h"
#include "engine/request.h"
#include "engine/usage.h"

namespace reprise {

// What has come of one choice so far.
struct Choice {
  std::optional<StartedEvent> started;
  std::optional<CacheMissReason> cache_miss;  // where the client asked for diagnostics
  std::string text;
  std::vector<TokenInfo> tokens;  // with log probabilities, whole replies only
  std::optional<FinishedEvent> finished;
  int64_t shown_characters = 0;  // of the tokens reported: text_offset of the next
};

// Of the whole call: each prompt counts once, as its first choice found it.
struct CallUsage {
  Usage prompt;
  int completion_tokens = 0;
};
CallUsage UsageOf(const std::vector<Choice>& choices, const Call& call);

class Reply {
 public:
  virtual ~Reply() = default;

  // The body of an unstreamed reply. REQUIRES: every choice has finished.
  virtual std::string Whole(std::vector<Choice>& choices, const CallUsage& usage) const = 0;

  // Of a stream: each appends what clients see of the event. A text event is shown before its text
  // is added to the choice.
  virtual void ShowStart(size_t index, const Choice& choice, std::string& stream) const = 0;
  virtual void ShowText(size_t index, const TextEvent& event, Choice& choice,
                        std::string& stream) const = 0;
  virtual void ShowFinish(size_t index, const Choice& choice, std::string& stream) const = 0;
  virtual void ShowEnd(const CallUsage& usage, std::string& stream) const = 0;
  virtual void ShowFault(const Fault& fault, std::string& stream) const = 0;
  // Sent when there has been nothing else to send for a while.
  virtual std::string_view ping() const = 0;
};

}  // namespace reprise
