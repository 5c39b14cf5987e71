#pragma once

// Turns a sequence's tokens into the text its client may see: whole characters only, and nothing
// that might still turn out to be the beginning of a stop string.
// One per sequence; engine thread.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/detokenizer.h"

namespace reprise {

class ReplyText {
 public:
  explicit ReplyText(std::vector<std::string> stop) : stop_(std::move(stop)) {}

  // Appends a token's bytes; returns what is now certain. After a stop string was met, returns the
  // text before it and stopped() says which; nothing may be pushed any more.
  std::string Push(std::string_view bytes);
  // What is still held back, at the end of a reply that met no stop string. Bytes of a character
  // that the limit has cut are no text; the next turn would not have them either.
  std::string Finish();

  const std::optional<std::string>& stopped() const { return stopped_; }

 private:
  // Length of the longest suffix of held_ that begins a stop string.
  size_t UndecidedBytes() const;
  // Cuts held_ at the first stop string, if there is one.
  bool CutAtStop();

  std::vector<std::string> stop_;
  Detokenizer detokenizer_;
  std::string held_;
  std::optional<std::string> stopped_;
};

}  // namespace reprise
