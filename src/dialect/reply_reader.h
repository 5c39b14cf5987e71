#pragma once

// Reads a reply as it is written and says what is text, what is thinking, and what are calls of the
// request's tools. Nothing is held back longer than it may still become something else: a call's
// arguments are passed on byte by byte once its name is known. What is no valid call stays text,
// byte for byte. White space around calls and thinking is left out.
//
// One a reply; one thread at a time. Linear in the reply's length.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"
#include "dialect/tool_set.h"

namespace reprise {

struct ReplyPiece {
  enum class Kind : uint8_t {
    kText,
    kThinking,
    kCall,       // one begins; `text` is the tool's name
    kArguments,  // a piece of its arguments: together they are a JSON object
    kCallEnd,    // it is whole
    kNoCall,     // it was none after all; `text` is how it was written, from its beginning on
    kCutCall,    // the reply ended in it; `text` as with kNoCall
  };
  Kind kind = Kind::kText;
  std::string text = {};

  bool operator==(const ReplyPiece&) const = default;
};

class ReplyReader {
 public:
  struct Options {
    Dialect dialect = {};
    std::shared_ptr<const ToolSet> tools = {};  // null: nothing is a call
    bool in_thinking = false;  // the prompt ends with the mark that begins thinking
  };

  explicit ReplyReader(Options options);
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  std::vector<ReplyPiece> Push(std::string_view text);
  // The reply is over. `cut`: not by the model's own will.
  std::vector<ReplyPiece> Finish(bool cut);

 private:
  class Run;
  std::unique_ptr<Run> run_;
};

}  // namespace reprise
