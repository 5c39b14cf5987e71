#pragma once

// Turns a stream of tokens into a stream of whole characters: bytes of a character split over
// tokens are held back until it is complete. Bytes that can never become UTF-8 are replaced by
// U+FFFD, as Python's errors="replace" does; nothing else ever yields U+FFFD. One per sequence; not
// thread-safe.

#include <string>
#include <string_view>

namespace reprise {

class Detokenizer {
 public:
  // Appends a token's bytes; returns the text that is now certain (may be empty).
  std::string Push(std::string_view bytes);
  // What is still held back, as it must be shown at the end of the reply.
  std::string Finish();
  // Bytes held back.
  size_t pending_bytes() const { return pending_.size(); }

 private:
  std::string pending_;
};

// True if text is well-formed UTF-8 (no surrogates, no overlong forms).
bool IsValidUtf8(std::string_view text);

// The whole of `text` as a Detokenizer shows it: what is not UTF-8 is replaced by U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

}  // namespace reprise
