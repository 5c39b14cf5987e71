#include "vendor/openai/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "text/detokenizer.h"
#include "vendor/openai/errors.h"
#include "vendor/sse.h"

namespace reprise {
namespace json = boost::json;
namespace {

const char* ReasonName(FinishReason reason) {
  return reason == FinishReason::kLength ? "length" : "stop";
}

// Inclusive counts: what was read and what was written are parts of the prompt.
json::object UsageJson(const CallUsage& usage) {
  return {{"prompt_tokens", usage.prompt.total},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt.total + usage.completion_tokens},
          {"prompt_tokens_details",
           {{"cached_tokens", usage.prompt.read},
            {"cache_write_tokens", usage.prompt.write()},
            {"audio_tokens", 0}}},
          {"completion_tokens_details",
           {{"reasoning_tokens", 0},
            {"audio_tokens", 0},
            {"accepted_prediction_tokens", 0},
            {"rejected_prediction_tokens", 0}}}};
}

double PerSecond(int count, double ms) { return ms > 0 ? 1000.0 * count / ms : 0; }

// Named as llama-server names them; queue_ms is ours.
json::object TimingsJson(const FinishedEvent& event) {
  const int computed = event.prompt_tokens - event.cached_tokens;
  return {{"queue_ms", event.queue_ms},
          {"cache_n", event.cached_tokens},
          {"prompt_n", computed},
          {"prompt_ms", event.prefill_ms},
          {"prompt_per_second", PerSecond(computed, event.prefill_ms)},
          {"predicted_n", event.completion_tokens},
          {"predicted_ms", event.decode_ms},
          {"predicted_per_second", PerSecond(event.completion_tokens, event.decode_ms)}};
}

// JSON has no infinity; a token that was ruled out has one.
double Finite(float logprob) { return std::isfinite(logprob) ? logprob : -9999.0; }

json::array BytesOf(std::string_view piece) {
  json::array bytes;
  bytes.reserve(piece.size());
  for (const char byte : piece) bytes.push_back(static_cast<int>(static_cast<uint8_t>(byte)));
  return bytes;
}

int64_t CharactersIn(std::string_view text) {
  return std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; });
}

void AddChecksum(json::object& choice, const FinishedEvent& event) {
  choice["logits_checksum"] = fmt::format("{:016x}", event.logits_checksum);
}

}  // namespace

json::object OpenAiReply::Envelope() const {
  const char* object = "text_completion";
  if (object_ == OpenAiObject::kChat) {
    object = options_.stream ? "chat.completion.chunk" : "chat.completion";
  }
  return {{"id", label_.id},
          {"object", object},
          {"created", label_.created},
          {"model", label_.model},
          {"system_fingerprint", nullptr}};
}

std::string OpenAiReply::TokenText(TokenId token) const {
  return ReplaceInvalidUtf8(tokenizer_.Piece(token));
}

json::value OpenAiReply::Logprobs(const std::vector<TokenInfo>& tokens, Choice& choice) const {
  if (!options_.logprobs) return nullptr;
  return object_ == OpenAiObject::kChat ? ChatLogprobs(tokens) : TextLogprobs(tokens, choice);
}

json::value OpenAiReply::ChatLogprobs(const std::vector<TokenInfo>& tokens) const {
  const auto entry = [this](const TokenLogprob& token) {
    return json::object{{"token", TokenText(token.token)},
                        {"logprob", Finite(token.logprob)},
                        {"bytes", BytesOf(tokenizer_.Piece(token.token))}};
  };
  json::array content;
  for (const TokenInfo& token : tokens) {
    json::array top;
    for (const TokenLogprob& other : token.top) top.push_back(entry(other));
    json::object shown = entry(token.chosen);
    shown["top_logprobs"] = std::move(top);
    content.push_back(std::move(shown));
  }
  return json::object{{"content", std::move(content)}, {"refusal", nullptr}};
}

json::value OpenAiReply::TextLogprobs(const std::vector<TokenInfo>& tokens, Choice& choice) const {
  json::array texts, logprobs, tops, offsets;
  for (const TokenInfo& token : tokens) {
    const std::string text = TokenText(token.chosen.token);
    json::object top;
    for (const TokenLogprob& other : token.top) {
      top[TokenText(other.token)] = Finite(other.logprob);
    }
    offsets.push_back(choice.written_characters);
    choice.written_characters += CharactersIn(text);
    texts.push_back(json::value(text));
    logprobs.push_back(Finite(token.chosen.logprob));
    tops.push_back(std::move(top));
  }
  return json::object{{"tokens", std::move(texts)},
                      {"token_logprobs", std::move(logprobs)},
                      {"top_logprobs", std::move(tops)},
                      {"text_offset", std::move(offsets)}};
}

std::string OpenAiReply::Body(std::vector<Choice>& choices, const CallUsage& usage) const {
  json::array shown;
  for (size_t i = 0; i < choices.size(); ++i) {
    Choice& choice = choices[i];
    json::object entry;
    entry["index"] = i;
    if (object_ == OpenAiObject::kChat) {
      entry["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    } else {
      entry["text"] = choice.text;
    }
    entry["logprobs"] = Logprobs(choice.tokens, choice);
    entry["finish_reason"] = ReasonName(choice.finished->reason);
    if (label_.checksum) AddChecksum(entry, *choice.finished);
    shown.push_back(std::move(entry));
  }
  json::object reply = Envelope();
  reply["choices"] = std::move(shown);
  reply["usage"] = UsageJson(usage);
  reply["timings"] = TimingsJson(*choices.front().finished);
  return json::serialize(reply);
}

void OpenAiReply::WriteStart(size_t index, const Choice& /*choice*/, std::string& stream) const {
  if (object_ == OpenAiObject::kChat) AppendSseEvent(stream, RoleChunk(index));
}

void OpenAiReply::WriteText(size_t index, const TextEvent& event, Choice& choice,
                            std::string& stream) const {
  AppendSseEvent(stream, TextChunk(index, event, choice));
}

void OpenAiReply::WriteFinish(size_t index, const Choice& choice, std::string& stream) const {
  AppendSseEvent(stream, FinishChunk(index, *choice.finished));
}

void OpenAiReply::WriteEnd(const CallUsage& usage, std::string& stream) const {
  if (options_.usage_in_stream) AppendSseEvent(stream, UsageChunk(usage));
  stream += kSseDone;
}

void OpenAiReply::WriteError(const Error& error, std::string& stream) const {
  AppendSseEvent(stream, OpenAiError(error, label_.request_id).body);  // and no [DONE]
}

std::string_view OpenAiReply::ping() const { return kSsePing; }

std::string OpenAiReply::Chunk(json::object choice, const FinishedEvent* finished) const {
  json::object chunk = Envelope();
  chunk["choices"] = json::array{std::move(choice)};
  if (options_.usage_in_stream) chunk["usage"] = nullptr;
  if (finished != nullptr) chunk["timings"] = TimingsJson(*finished);
  return json::serialize(chunk);
}

std::string OpenAiReply::RoleChunk(size_t index) const {
  return Chunk({{"index", index},
                {"delta", {{"role", "assistant"}, {"content", ""}}},
                {"logprobs", nullptr},
                {"finish_reason", nullptr}},
               nullptr);
}

std::string OpenAiReply::TextChunk(size_t index, const TextEvent& event, Choice& choice) const {
  json::object entry;
  entry["index"] = index;
  if (object_ == OpenAiObject::kChat) {
    entry["delta"] = {{"content", event.text}};
  } else {
    entry["text"] = event.text;
  }
  entry["logprobs"] = Logprobs(event.tokens, choice);
  entry["finish_reason"] = nullptr;
  return Chunk(std::move(entry), nullptr);
}

std::string OpenAiReply::FinishChunk(size_t index, const FinishedEvent& event) const {
  json::object entry;
  entry["index"] = index;
  if (object_ == OpenAiObject::kChat) {
    entry["delta"] = json::object();
  } else {
    entry["text"] = "";
  }
  entry["logprobs"] = nullptr;
  entry["finish_reason"] = ReasonName(event.reason);
  if (label_.checksum) AddChecksum(entry, event);
  return Chunk(std::move(entry), &event);
}

std::string OpenAiReply::UsageChunk(const CallUsage& usage) const {
  json::object chunk = Envelope();
  chunk["choices"] = json::array();
  chunk["usage"] = UsageJson(usage);
  return json::serialize(chunk);
}

}  // namespace reprise
