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

// Inclusive counts: what was read and what was written are parts of the prompt.
json::object UsageJson(const CallUsage& usage) {
  return {{"prompt_tokens", usage.prompt.total},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt.total + usage.completion_tokens},
          // As another vendor says it; some clients show these.
          {"prompt_cache_hit_tokens", usage.prompt.read},
          {"prompt_cache_miss_tokens", usage.prompt.total - usage.prompt.read},
          {"prompt_tokens_details",
           {{"cached_tokens", usage.prompt.read},
            {"cache_write_tokens", usage.prompt.write()},
            {"audio_tokens", 0}}},
          {"completion_tokens_details",
           {{"reasoning_tokens", usage.thinking_tokens},
            {"audio_tokens", 0},
            {"accepted_prediction_tokens", usage.accepted_prediction_tokens},
            {"rejected_prediction_tokens", usage.rejected_prediction_tokens}}}};
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

const char* OpenAiReply::ReasonName(const Choice& choice) const {
  if (choice.calls_tools()) return options_.legacy_functions ? "function_call" : "tool_calls";
  return choice.finished->reason == FinishReason::kLength ? "length" : "stop";
}

json::object OpenAiReply::Message(const Choice& choice) const {
  json::object message = {{"role", "assistant"}};
  std::string text;
  json::array calls;
  for (const ReplyPart& part : choice.parts) {
    if (part.kind == ReplyPart::Kind::kText) text += part.text;
    if (!part.is_call()) continue;
    calls.push_back({{"id", part.call_id},
                     {"type", "function"},
                     {"function", {{"name", part.name}, {"arguments", part.text}}}});
  }
  message["content"] = text.empty() && !calls.empty() ? json::value() : json::value(text);
  message["refusal"] = nullptr;
  const std::string thinking = choice.TextOf(ReplyPart::Kind::kThinking);
  if (!thinking.empty()) {
    message["reasoning_content"] = thinking;
  }
  if (options_.legacy_functions) {
    if (!calls.empty()) message["function_call"] = calls.front().at("function");
  } else if (!calls.empty()) {
    message["tool_calls"] = std::move(calls);
  }
  return message;
}

std::string OpenAiReply::Body(std::vector<Choice>& choices, const CallUsage& usage) const {
  json::array shown;
  for (size_t i = 0; i < choices.size(); ++i) {
    Choice& choice = choices[i];
    json::object entry;
    entry["index"] = i;
    if (object_ == OpenAiObject::kChat) {
      entry["message"] = Message(choice);
    } else {
      entry["text"] = choice.text;
    }
    entry["logprobs"] = Logprobs(choice.tokens, choice);
    entry["finish_reason"] = ReasonName(choice);
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

void OpenAiReply::WritePiece(size_t index, const ReplyPiece& piece, bool /*begins*/, Choice& choice,
                             std::string& stream) const {
  json::object delta = Delta(piece, choice);
  if (!delta.empty()) AppendSseEvent(stream, DeltaChunk(index, std::move(delta), choice));
}

void OpenAiReply::WriteFinish(size_t index, Choice& choice, std::string& stream) const {
  AppendSseEvent(stream, FinishChunk(index, choice));
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

json::object OpenAiReply::Delta(const ReplyPiece& piece, const Choice& choice) const {
  using Kind = ReplyPiece::Kind;
  const auto call = [&](json::object entry, json::object function) -> json::object {
    if (options_.legacy_functions) return {{"function_call", std::move(function)}};
    entry["index"] = std::ranges::count(choice.parts, ReplyPart::Kind::kCall, &ReplyPart::kind) - 1;
    entry["function"] = std::move(function);
    return {{"tool_calls", json::array{std::move(entry)}}};
  };
  switch (piece.kind) {
    case Kind::kText:
    case Kind::kNoCall:  // what was said of it cannot be taken back; nothing is lost
      return {{"content", piece.text}};
    case Kind::kThinking:
      return {{"reasoning_content", piece.text}};
    case Kind::kCall:
      return call({{"id", choice.parts.back().call_id}, {"type", "function"}},
                  {{"name", piece.text}, {"arguments", ""}});
    case Kind::kArguments:
      return call({}, {{"arguments", piece.text}});
    case Kind::kCallEnd:
    case Kind::kCutCall:
      return {};
  }
  return {};
}

std::string OpenAiReply::DeltaChunk(size_t index, json::object delta, Choice& choice) const {
  json::object entry;
  entry["index"] = index;
  if (object_ == OpenAiObject::kChat) {
    entry["delta"] = std::move(delta);
  } else {
    entry["text"] = std::move(delta.at("content"));
  }
  entry["logprobs"] = Logprobs(std::exchange(choice.tokens, {}), choice);
  entry["finish_reason"] = nullptr;
  return Chunk(std::move(entry), nullptr);
}

std::string OpenAiReply::FinishChunk(size_t index, Choice& choice) const {
  const FinishedEvent& event = *choice.finished;
  json::object entry;
  entry["index"] = index;
  if (object_ == OpenAiObject::kChat) {
    entry["delta"] = json::object();
  } else {
    entry["text"] = "";
  }
  entry["logprobs"] =
      choice.tokens.empty() ? nullptr : Logprobs(std::exchange(choice.tokens, {}), choice);
  entry["finish_reason"] = ReasonName(choice);
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
