#include "vendor/anthropic/message_builder.h"

#include <utility>

#include "prompt/conversation.h"

namespace reprise {
namespace json = boost::json;

void AppendPiece(std::string_view piece, std::string& text) {
  if (!text.empty()) text += kBlockSeparator;
  text += piece;
}

void MessageBuilder::SetRole(std::string_view role) {
  if (role_ == role) return;
  EndMessage();
  role_ = role;
}

void MessageBuilder::AppendText(std::string_view text) { AppendPiece(text, text_); }

void MessageBuilder::AppendCall(json::object call) { calls_.push_back(std::move(call)); }

void MessageBuilder::EndMessage() {
  if (!text_.empty() || !calls_.empty()) {
    json::object message = {{"role", role_}, {"content", text_}};
    if (!calls_.empty()) message["tool_calls"] = std::move(calls_);
    if (!thinking_.empty()) message["reasoning_content"] = thinking_;
    messages_.push_back(std::move(message));
  }
  role_.clear();
  text_.clear();
  thinking_.clear();
  calls_ = json::array();
}

json::array MessageBuilder::Take() {
  EndMessage();
  return std::exchange(messages_, json::array());
}

}  // namespace reprise
