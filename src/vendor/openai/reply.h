#pragma once

// OpenAI's shapes of a reply: chat.completion, chat.completion.chunk and text_completion, with
// usage, log probabilities and our extensions (timings, logits_checksum). See reply_format.h.

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "vendor/reply_format.h"

namespace reprise {

enum class OpenAiObject : uint8_t { kChat, kText };

// What a client asked to see.
struct OpenAiReplyOptions {
  bool logprobs = false;
  bool stream = false;
  bool usage_in_stream = false;
  bool legacy_functions = false;  // a call is `function_call`
};

class OpenAiReply final : public ReplyFormat {
 public:
  OpenAiReply(OpenAiObject object, ReplyLabel label, OpenAiReplyOptions options,
              const Tokenizer& tokenizer)
      : object_(object), label_(std::move(label)), options_(options), tokenizer_(tokenizer) {}

  std::string Body(std::vector<Choice>& choices, const CallUsage& usage) const override;
  void WriteStart(size_t index, const Choice& choice, std::string& stream) const override;
  void WritePiece(size_t index, const ReplyPiece& piece, bool begins, Choice& choice,
                  std::string& stream) const override;
  void WriteFinish(size_t index, Choice& choice, std::string& stream) const override;
  void WriteEnd(const CallUsage& usage, std::string& stream) const override;
  void WriteError(const Error& error, std::string& stream) const override;
  std::string_view ping() const override;

  // Chunks of a stream, each the data of one event.
  std::string RoleChunk(size_t index) const;  // chat: the first of a choice
  std::string DeltaChunk(size_t index, boost::json::object delta, Choice& choice) const;
  std::string FinishChunk(size_t index, Choice& choice) const;
  std::string UsageChunk(const CallUsage& usage) const;  // the last, when asked for

 private:
  boost::json::object Envelope() const;
  std::string Chunk(boost::json::object choice, const FinishedEvent* finished) const;
  boost::json::object Message(const Choice& choice) const;
  boost::json::object Delta(const ReplyPiece& piece, const Choice& choice) const;
  const char* ReasonName(const Choice& choice) const;
  boost::json::value Logprobs(const std::vector<TokenInfo>& tokens, Choice& choice) const;
  boost::json::value ChatLogprobs(const std::vector<TokenInfo>& tokens) const;
  boost::json::value TextLogprobs(const std::vector<TokenInfo>& tokens, Choice& choice) const;
  std::string TokenText(TokenId token) const;

  const OpenAiObject object_;
  const ReplyLabel label_;
  const OpenAiReplyOptions options_;
  const Tokenizer& tokenizer_;
};

}  // namespace reprise
