#pragma once

// Anthropic's shapes of a reply: message, and the events of its stream. Our extension:
// logits_checksum. See reply.h.

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/reply.h"

namespace reprise {

struct MessageLabel {
  std::string id;          // msg_…
  std::string request_id;  // for an error in mid-stream
  std::string model;
  int max_tokens = 0;  // as the client asked
  bool checksum = false;
};

class AnthropicReply final : public Reply {
 public:
  explicit AnthropicReply(MessageLabel label) : label_(std::move(label)) {}

  std::string Whole(std::vector<Choice>& choices, const CallUsage& usage) const override;
  void ShowStart(size_t index, const Choice& choice, std::string& stream) const override;
  void ShowText(size_t index, const TextEvent& event, Choice& choice,
                std::string& stream) const override;
  void ShowFinish(size_t index, const Choice& choice, std::string& stream) const override;
  void ShowEnd(const CallUsage& usage, std::string& stream) const override;
  void ShowFault(const Fault& fault, std::string& stream) const override;
  std::string_view ping() const override;

 private:
  boost::json::object Message(boost::json::array content, const Choice& choice,
                              int output_tokens) const;
  // stop_reason and stop_sequence
  void AddStop(const FinishedEvent& event, boost::json::object& into) const;

  const MessageLabel label_;
};

}  // namespace reprise
