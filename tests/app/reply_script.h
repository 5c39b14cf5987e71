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
  void Add(std::string reply);
  // Takes the next reply, if there is one, as what the request must say.
  void Apply(const Tokenizer& tokenizer, GenerationRequest& request);
  size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::deque<std::string> replies_;  // guarded by mutex_
};

}  // namespace reprise
