#pragma once

// Where the parts of a client's request stand in the prompt: which tokens are tool 3, the system
// text, message 7. For diagnosis only; what is cached never depends on it.
//
// The parts are found in the prompt's own text, each behind the one before it, whatever the
// template made of them: it may trim them, reorder them or write JSON in its own way (white space
// is no difference there). A part that is not found has no span and belongs to the next one.
// Values and pure functions; any thread.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "text/tokenizer.h"

namespace reprise {

// A part as the client numbers it. kPrompt is a prompt of which no part is known; kEnd is what
// stands behind the last part: the beginning of the reply.
struct PartName {
  enum class Kind : uint8_t { kTool, kSystem, kMessage, kPrompt, kEnd };
  Kind kind = Kind::kEnd;
  uint32_t index = 0;

  auto operator<=>(const PartName&) const = default;
};
// "tools[3]", "system", "messages[7]", "prompt", "end"
std::string ToText(PartName name);

// Whose words a part is, as the client says: the system's and developers', …
enum class PartRole : uint8_t { kNone, kSystem, kUser, kAssistant, kTool };
// Of a message's "role"; kNone for others than those.
PartRole RoleNamed(std::string_view role);

// What a request says of one part.
struct PromptPart {
  // A piece of its text and other ways in which a template may write it; the first found counts.
  struct Piece {
    std::vector<std::string> spellings;
    bool json = false;  // white space is no difference
  };
  PartName name;
  std::vector<Piece> pieces = {};  // in order; unescaped
  PartRole role = PartRole::kNone;
};

// A part's text within the decoded prompt (Tokenizer::Decode with control tokens), in bytes. The
// part itself begins where the text before it ends, so the template's words around it are its own.
struct PartSpan {
  PartName name;
  uint32_t text_begin = 0;
  uint32_t text_end = 0;
  PartRole role = PartRole::kNone;

  bool operator==(const PartSpan&) const = default;
};

// Ascending; those found. O(size of the prompt), with a bound for parts that are not there.
std::vector<PartSpan> LocateParts(const std::vector<TokenId>& prompt,
                                  std::span<const PromptPart> parts, const Tokenizer& tokenizer);

// The part that byte `at` of the decoded prompt belongs to, and how many bytes into its text: 0 in
// the words of the template before it.
struct PartPlace {
  PartName name;
  size_t offset_bytes = 0;
  size_t text_begin = 0;  // of the part
};
PartPlace PlaceOf(std::span<const PartSpan> part_spans, size_t at);

}  // namespace reprise
