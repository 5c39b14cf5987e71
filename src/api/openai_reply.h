#pragma once

// OpenAI's shapes of a reply: chat.completion, chat.completion.chunk and text_completion, with
// usage, log probabilities and our extensions (timings, logits_checksum). Pure: events in, JSON
// out. One a call; not thread-safe.

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"
#include "engine/request.h"
#include "text/tokenizer.h"

namespace reprise {

// What has come of one choice so far.
struct Choice {
  std::optional<StartedEvent> started;
  std::string text;
  std::vector<TokenInfo> tokens;  // with log probabilities, whole replies only
  std::optional<FinishedEvent> finished;
  int64_t shown_characters = 0;  // of the tokens reported: text_offset of the next
};

// Of the whole call: each prompt counts once, as its first choice found it.
struct Usage {
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int completion_tokens = 0;
};
Usage UsageOf(const std::vector<Choice>& choices, const Call& call);

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

class OpenAiReply {
 public:
  OpenAiReply(ReplyLabel label, const Tokenizer& tokenizer)
      : label_(std::move(label)), tokenizer_(tokenizer) {}

  // The body of an unstreamed reply. REQUIRES: every choice has finished.
  std::string Whole(std::vector<Choice>& choices, const Usage& usage) const;

  // Chunks of a stream, each the data of one event.
  std::string RoleChunk(size_t index) const;  // chat: the first of a choice
  std::string TextChunk(size_t index, const TextEvent& event, Choice& choice) const;
  std::string FinishChunk(size_t index, const FinishedEvent& event) const;
  std::string UsageChunk(const Usage& usage) const;  // the last, when asked for

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
