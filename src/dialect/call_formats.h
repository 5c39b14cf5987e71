#pragma once

// Readers of calls in each family's writing. Each coroutine begins behind the mark that may begin a
// call (or at the reply's beginning, where the family has none) and is true when all that it took
// is whole calls, one or more. False: what it took behind the last whole call, told by
// CallSink::End, is none. Internal to this folder.

#include <string>
#include <string_view>

#include "dialect/reply_input.h"

namespace reprise {

class CallSink {
 public:
  virtual ~CallSink() = default;

  // False: there is no such tool, so this is no call.
  virtual bool Begin(std::string_view name) = 0;
  // The next piece of the arguments, a JSON object.
  virtual void Arguments(std::string_view json) = 0;
  // False: together they are none that the JSON library reads (half a surrogate,
  // too deep), so this was no call.
  virtual bool End() = 0;
  // Whether the begun call's parameter takes text as it stands: its schema says "string".
  virtual bool TakesText(std::string_view parameter) const = 0;
};

Parse ReadHermesCall(ReplyInput& input, CallSink& sink);
Parse ReadQwenCoderCall(ReplyInput& input, CallSink& sink);
Parse ReadLlamaCalls(ReplyInput& input, CallSink& sink);
Parse ReadPythonicCalls(ReplyInput& input, CallSink& sink);
Parse ReadMistralCalls(ReplyInput& input, CallSink& sink);
Parse ReadDeepSeekCalls(ReplyInput& input, CallSink& sink);
Parse ReadKimiCalls(ReplyInput& input, CallSink& sink);
Parse ReadFunctionGemmaCall(ReplyInput& input, CallSink& sink);

// Pieces that they and the reader of whole replies share.

// Whether `mark` comes next; takes nothing.
Parse Sees(ReplyInput& input, std::string_view mark);
// Takes `mark` if it comes next.
Parse Takes(ReplyInput& input, std::string_view mark);
// Takes white space; always true.
Parse SkipSpace(ReplyInput& input);
// Takes all up to `mark` into `text`, and the mark. False: it does not come within `most` bytes.
Parse ReadUntil(ReplyInput& input, std::string_view mark, size_t most, std::string& text);
// A JSON object, array or string, as it is written.
Parse ReadJson(ReplyInput& input, std::string& text);
// A JSON object, passed on to the sink while it comes.
Parse ReadArguments(ReplyInput& input, CallSink& sink);

}  // namespace reprise
