#pragma once

// Anthropic's shapes of a reply: message, and the events of its stream. Our extension:
// logits_checksum. See reply_format.h.

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "vendor/reply_format.h"

namespace reprise {

class AnthropicReply final : public ReplyFormat {
 public:
  // `max_tokens` as the client asked.
  AnthropicReply(ReplyLabel label, int max_tokens)
      : label_(std::move(label)), max_tokens_(max_tokens) {}

  std::string Body(std::vector<Choice>& choices, const CallUsage& usage) const override;
  void WriteStart(size_t index, const Choice& choice, std::string& stream) const override;
  void WritePiece(size_t index, const ReplyPiece& piece, bool begins, Choice& choice,
                  std::string& stream) const override;
  void WriteFinish(size_t index, Choice& choice, std::string& stream) const override;
  void WriteEnd(const CallUsage& usage, std::string& stream) const override;
  void WriteError(const Error& error, std::string& stream) const override;
  std::string_view ping() const override;

 private:
  boost::json::object Message(boost::json::array content, const Choice& choice,
                              int output_tokens) const;
  // stop_reason and stop_sequence
  void AddStop(const Choice& choice, boost::json::object& into) const;

  const ReplyLabel label_;
  const int max_tokens_;
};

}  // namespace reprise
