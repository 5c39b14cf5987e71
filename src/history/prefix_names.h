#pragma once

// What the prefixes in the tree are: which part of a request each block holds, told from the
// requests of the history, whose prompts are walked along the tree as tokens. A block that holds
// several parts is the one's that has most of its tokens. What no remembered prompt leads to is
// unknown, or, behind a prompt's end, a reply. I/O thread, as the history.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cache/tree_view.h"
#include "history/history.h"
#include "prompt/prompt_parts.h"
#include "text/tokenizer.h"

namespace reprise {

struct PrefixLabel {
  enum class Kind : uint8_t { kUnknown, kPart, kReply };
  Kind kind = Kind::kUnknown;
  PartName part = {PartName::Kind::kPrompt, 0};  // kPart
  PartRole role = PartRole::kNone;               // of a message
  uint32_t turn = 0;                             // of a message: users' messages up to it
  bool document = false;                         // a user's message, and long

  bool operator==(const PrefixLabel&) const = default;
};
// "tools[0]", "system", "messages[3]", "prompt", "reply", "unknown"
std::string ToText(const PrefixLabel& label);
// For people: "tools", "system text", "turn 3, user", "turn 3, document", "reply".
std::string NameOf(const PrefixLabel& label);

// [chains][blocks]. Of the prompts, newest first, the last ones that lead to unnamed blocks are
// left out once limits::kMaxNamedTokens were decoded.
std::vector<std::vector<PrefixLabel>> LabelPrefixes(const TreeView& tree, const History& history,
                                                    const Tokenizer& tokenizer);

}  // namespace reprise
