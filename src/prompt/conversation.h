#pragma once

// A conversation in the one form that every vendor's requests are read into: messages, tools, and
// the places up to which the client wants the prompt kept. Texts are the client's own, unescaped.
// Knows no vendor and no template. Values.

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "prompt/outline.h"

namespace reprise {

// A place up to which the prompt is to be kept, and for how long: what a client's cache marker asks
// for. It becomes a breakpoint once the prompt is tokenised (rendered_prompt.h).
struct CacheMark {
  enum class Place : uint8_t {
    kTool,       // behind tool `index`
    kText,       // in message `index`, behind `offset` bytes of its content
    kToolCall,   // in message `index`, behind call `offset`
    kPromptEnd,  // behind everything
  };
  Place place = Place::kPromptEnd;
  size_t index = 0;
  size_t offset = 0;
  Duration ttl{};

  bool operator==(const CacheMark&) const = default;
};

struct Conversation {
  // {"role", "content": a string, "tool_calls", …} as Hugging Face templates expect them. Roles are
  // system, user, assistant and tool; the arguments of calls are objects.
  boost::json::array messages;
  boost::json::array tools;       // {"type": "function", "function": {…}}; empty: none
  std::vector<CacheMark> marks;   // in the order of the conversation
  boost::json::object arguments;  // further variables for the template (chat_template_kwargs)
  bool add_generation_prompt = true;
  // The last message is the beginning of the reply, which goes on where its text ends.
  bool continues_reply = false;
  PromptOutline outline;
};

// Between pieces of text that become one content: a blank line.
inline constexpr std::string_view kBlockSeparator = "\n\n";

}  // namespace reprise
