#pragma once

// What has come of one choice of a call so far: the events of the engine gathered, and its text
// read as text, thinking and calls of tools (dialect/reply_reader.h). One thread at a time.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dialect/reply_reader.h"
#include "generation/request.h"
#include "history/cache_diagnosis.h"
#include "prompt/reply_memory.h"
#include "vendor/served_model.h"

namespace reprise {

// A stretch of the reply, in its order.
struct ReplyPart {
  enum class Kind : uint8_t { kText, kThinking, kCall };
  enum class State : uint8_t {
    kOpen,
    kWhole,
    kCut,   // the reply ended in it
    kNone,  // a call that was none; its text is the next part
  };
  Kind kind = Kind::kText;
  State state = State::kOpen;
  std::string text = {};     // of a call: its arguments, JSON
  std::string name = {};     // of a call: the tool's
  std::string call_id = {};  // … as the client knows it
  std::string written = {};  // of a cut call: how it was written

  bool is_call() const { return kind == Kind::kCall && state != State::kNone; }
};

struct Choice {
  std::optional<StartedEvent> started;
  std::optional<CacheMissReason> cache_miss;  // where the client asked for diagnostics
  std::unique_ptr<ReplyReader> reader;        // none: all is text
  std::string text;                           // as the model wrote it
  std::vector<ReplyPart> parts;
  // With log probabilities: all of a whole reply; of a stream, those that were not yet written.
  std::vector<TokenInfo> tokens;
  std::optional<FinishedEvent> finished;
  int thinking_tokens = 0;         // of the finished reply's
  int64_t written_characters = 0;  // of the tokens written: text_offset of the next

  // Adds a piece to the parts; true: it began a new one. `call_id` is taken where a call begins.
  bool Add(const ReplyPiece& piece, std::string call_id);
  // Whether the model ended the reply with calls.
  bool calls_tools() const;
  // Parts of a kind, together.
  std::string TextOf(ReplyPart::Kind kind) const;
};

// A finished reply as the client will send it back; what was written, and calls, only where it
// called tools.
WrittenReply WrittenReplyOf(const Choice& choice, const ServedModel& model);

}  // namespace reprise
