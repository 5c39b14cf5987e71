#pragma once

// How many of a prompt's tokens an engine read from its cache, found in the bytes of its reply as
// they pass: "usage" of a whole body or of a stream's events, in the words of both vendors, and
// llama-server's "timings". At most limits::kMaxUsageBytes are kept, and none is changed. A value;
// one thread.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace reprise {

struct PromptUsage {
  size_t prompt_tokens = 0;             // all of them
  std::optional<size_t> cached_tokens;  // of these, read; none: the engine does not say

  bool operator==(const PromptUsage&) const = default;
};

class UsageReader {
 public:
  void Put(std::string_view bytes);
  // What the reply has said last; none: nothing.
  const std::optional<PromptUsage>& usage() const { return found_; }

 private:
  void Take(std::string_view object);

  std::string rest_;  // of what came last: where a usage may begin
  std::optional<PromptUsage> found_;
};

}  // namespace reprise
