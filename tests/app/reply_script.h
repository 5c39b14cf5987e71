#pragma once

// Replies that a test has written: each next conversation's reply is sampled from the model's own
// logits, but of all tokens only the script's next one is allowed. Everything else is as ever.
// Thread-safe.

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "generation/request.h"
#include "text/tokenizer.h"

namespace reprise {

class ReplyScript {
 public:
  // `for_tools`: the reply is for a request that has tools; agents ask other things beside.
  void Add(std::string reply, bool for_tools);
  // Takes the next reply, if there is one and it is meant for such a request, as what it must say.
  void Apply(bool has_tools, const Tokenizer& tokenizer, GenerationRequest& request);
  size_t size() const;

 private:
  mutable std::mutex mutex_;
  struct Reply {
    std::string text;
    bool for_tools = false;
  };
  std::deque<Reply> replies_;  // guarded by mutex_
};

}  // namespace reprise
