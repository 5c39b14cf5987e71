#include "engine/reply_text.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace reprise {

bool ReplyText::CutAtStop() {
  size_t first = std::string::npos;
  for (const std::string& stop : stop_) {
    const size_t at = held_.find(stop);
    if (at < first) {
      first = at;
      stopped_ = stop;
    }
  }
  if (first == std::string::npos) return false;
  held_.resize(first);
  return true;
}

size_t ReplyText::UndecidedBytes() const {
  size_t undecided = 0;
  for (const std::string& stop : stop_) {
    const size_t longest = std::min(stop.size() - 1, held_.size());
    for (size_t length = longest; length > undecided; --length) {
      if (std::string_view(held_).substr(held_.size() - length) ==
          std::string_view(stop).substr(0, length)) {
        undecided = length;
      }
    }
  }
  return undecided;
}

std::string ReplyText::Push(std::string_view bytes) {
  CHECK(!stopped_, "nothing follows a stop string");
  held_ += detokenizer_.Push(bytes);
  if (CutAtStop()) return std::exchange(held_, {});
  const size_t certain = held_.size() - UndecidedBytes();
  std::string text = held_.substr(0, certain);
  held_.erase(0, certain);
  return text;
}

std::string ReplyText::Finish() { return std::exchange(held_, {}); }

}  // namespace reprise
