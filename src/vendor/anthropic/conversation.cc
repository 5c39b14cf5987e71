#include "vendor/anthropic/conversation.h"

#include <utility>

#include "vendor/anthropic/block_reader.h"
#include "vendor/anthropic/cache_control.h"
#include "vendor/anthropic/messages.h"
#include "vendor/anthropic/tools.h"

namespace reprise {

AnthropicConversation ReadAnthropicConversation(FieldReader& fields, bool drop_billing_line,
                                                MarkerRules& rules) {
  BlockReader blocks(fields, rules);
  CacheControlMarks marks(rules);
  OutlineWriter outline;
  MessagesReader messages(blocks, marks, outline);
  AnthropicConversation read;
  Conversation& conversation = read.conversation;
  conversation.tools = ReadTools(blocks, marks, outline);
  if (blocks.ok()) read.dropped_billing_line = messages.ReadSystem(drop_billing_line);
  if (blocks.ok()) messages.ReadMessages();
  if (!blocks.ok()) return read;
  marks.AddTopLevel(fields);
  conversation.messages = messages.Take();
  const boost::json::object& last = conversation.messages.back().as_object();
  conversation.continues_reply = last.at("role") == "assistant" && !last.contains("tool_calls");
  conversation.add_generation_prompt = !conversation.continues_reply;
  conversation.marks = marks.Take();
  conversation.outline = outline.Take();
  return read;
}

}  // namespace reprise
