#pragma once

// Puts blocks together into the messages of a Conversation: pieces of text are joined by blank
// lines, and blocks of one role in a row are one message. Used while one call is read; not
// thread-safe.

#include <boost/json.hpp>
#include <string>
#include <string_view>

namespace reprise {

// Adds a piece to a text of several.
void AppendPiece(std::string_view piece, std::string& text);

class MessageBuilder {
 public:
  // What follows is of `role`. A message of another role is complete.
  void SetRole(std::string_view role);
  void AppendText(std::string_view text);
  void AppendThinking(std::string_view text) { AppendPiece(text, thinking_); }
  // {"id", "type": "function", "function": {"name", "arguments"}}
  void AppendCall(boost::json::object call);
  // The message so far is complete; one without content is none.
  void EndMessage();
  // A complete message of role tool, which may be empty.
  void AddToolResult(boost::json::object message) { messages_.push_back(std::move(message)); }

  const std::string& role() const { return role_; }
  // Of the message being put together: which one it will be, and what it has so far.
  size_t index() const { return messages_.size(); }
  size_t text_bytes() const { return text_.size(); }
  size_t calls() const { return calls_.size(); }

  boost::json::array Take();

 private:
  boost::json::array messages_;
  std::string role_;  // of the message being put together; empty: none
  std::string text_;
  std::string thinking_;
  boost::json::array calls_;
};

}  // namespace reprise
