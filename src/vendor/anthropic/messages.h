#pragma once

// Anthropic's `system` and `messages` as the messages of a Conversation:
//
//   text          joined by blank lines; messages of one role in a row are one message
//   tool_use      a tool call of the assistant's message
//   tool_result   a message of its own, of role "tool"
//   document      with a text as its source: its title and text
//   thinking      the assistant's, for the template to keep or drop
//   redacted_thinking   dropped: no model here can read another's
//   anything else a 400 that names the block
//
// Used while one call is read; not thread-safe.

#include <boost/json.hpp>
#include <map>
#include <string>

#include "prompt/outline.h"
#include "vendor/anthropic/block_reader.h"
#include "vendor/anthropic/cache_control.h"
#include "vendor/anthropic/message_builder.h"

namespace reprise {

class MessagesReader {
 public:
  // Faults stay in `blocks`; the marks and the outline get what is read.
  MessagesReader(BlockReader& blocks, CacheControlMarks& marks, OutlineWriter& outline)
      : blocks_(blocks), marks_(marks), outline_(outline) {}

  // True if the first block was a billing line (billing_line.h) and was left out, as
  // `drop_billing_line` asks.
  bool ReadSystem(bool drop_billing_line);
  void ReadMessages();
  boost::json::array Take() { return builder_.Take(); }

 private:
  void ReadMessage(const boost::json::value& value, size_t index);
  void ReadBlock(const boost::json::object& block, const std::string& path);
  void ReadText(const boost::json::object& block, const std::string& path);
  void ReadDocument(const boost::json::object& block, const std::string& path);
  void ReadThinking(const boost::json::object& block, const std::string& path);
  void ReadToolUse(const boost::json::object& block, const std::string& path);
  void ReadToolResult(const boost::json::object& block, const std::string& path);
  // The text of a result's blocks, with the mark that its last one may carry.
  struct ResultText {
    std::string text;
    std::optional<Duration> ttl;
    std::string ttl_path;
  };
  ResultText ReadResultText(const boost::json::value& content, const std::string& path);

  BlockReader& blocks_;
  CacheControlMarks& marks_;
  OutlineWriter& outline_;
  MessageBuilder builder_;
  std::map<std::string, std::string> call_names_;  // by id
};

}  // namespace reprise
