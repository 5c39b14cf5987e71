#pragma once

// OpenAI's shapes of a reply: chat.completion, chat.completion.chunk and text_completion, with
// usage, log probabilities and our extensions (timings, logits_checksum). See reply.h.

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/reply.h"
#include "text/tokenizer.h"

namespace reprise {

// How one reply is labelled, and what a client asked to see of it.
struct ReplyLabel {
  Endpoint endpoint = Endpoint::kChat;
  std::string id;
  int64_t created = 0;
  std::string model;
  bool logprobs = false;
  bool stream = false;
  bool usage_in_stream = false;
  bool checksum = false;
};

class OpenAiReply final : public Reply {
 public:
  OpenAiReply(ReplyLabel label, const Tokenizer& tokenizer)
      : label_(std::move(label)), tokenizer_(tokenizer) {}

  std::string Whole(std::vector<Choice>& choices, const CallUsage& usage) const override;
  void ShowStart(size_t index, const Choice& choice, std::string& stream) const override;
  void ShowText(size_t index, const TextEvent& event, Choice& choice,
                std::string& stream) const override;
  void ShowFinish(size_t index, const Choice& choice, std::string& stream) const override;
  void ShowEnd(const CallUsage& usage, std::string& stream) const override;
  void ShowFault(const Fault& fault, std::string& stream) const override;
  std::string_view ping() const override;

  // Chunks of a stream, each the data of one event.
  std::string RoleChunk(size_t index) const;  // chat: the first of a choice
  std::string TextChunk(size_t index, const TextEvent& event, Choice& choice) const;
  std::string FinishChunk(size_t index, const FinishedEvent& event) const;
  std::string UsageChunk(const CallUsage& usage) const;  // the last, when asked for

 private:
  boost::json::object Envelope() const;
  std::string Chunk(boost::json::object choice, const FinishedEvent* finished) const;
  boost::json::value Logprobs(const std::vector<TokenInfo>& tokens, Choice& choice) const;
  boost::json::value ChatLogprobs(const std::vector<TokenInfo>& tokens) const;
  boost::json::value TextLogprobs(const std::vector<TokenInfo>& tokens, Choice& choice) const;
  std::string TokenText(TokenId token) const;

  const ReplyLabel label_;
  const Tokenizer& tokenizer_;
};

}  // namespace reprise
