#include "text/detokenizer.h"

#include <utility>

#include "text/utf8.h"

namespace reprise {

std::string Detokenizer::Push(std::string_view bytes) {
  std::string joined = std::exchange(pending_, {});
  joined += bytes;
  std::string_view rest = joined;
  std::string certain;
  certain.reserve(rest.size());
  while (!rest.empty()) {
    size_t size = AsciiPrefix(rest);
    if (size != 0) {
      certain += rest.substr(0, size);
    } else {
      const Utf8Sequence sequence = FirstUtf8Sequence(rest);
      if (sequence.kind == Utf8Kind::kIncomplete) {
        pending_ = rest;
        break;
      }
      size = sequence.size;
      certain +=
          sequence.kind == Utf8Kind::kCharacter ? rest.substr(0, size) : kReplacementCharacter;
    }
    rest.remove_prefix(size);
  }
  return certain;
}

std::string Detokenizer::Finish() {
  // What is pending is the beginning of one character, so it is one faulty sequence.
  const bool cut = !std::exchange(pending_, {}).empty();
  return cut ? std::string(kReplacementCharacter) : std::string();
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  Detokenizer detokenizer;
  std::string whole = detokenizer.Push(text);
  return whole + detokenizer.Finish();
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    size_t size = AsciiPrefix(text);
    if (size == 0) {
      const Utf8Sequence sequence = FirstUtf8Sequence(text);
      if (sequence.kind != Utf8Kind::kCharacter) return false;
      size = sequence.size;
    }
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace reprise
