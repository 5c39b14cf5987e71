#include "vendor/anthropic/reply.h"

#include <fmt/format.h>

#include <utility>

#include "vendor/anthropic/diagnostics.h"
#include "vendor/anthropic/errors.h"
#include "vendor/json_reader.h"
#include "vendor/sse.h"

namespace reprise {
namespace json = boost::json;
namespace {

// Disjoint counts: their sum is the prompt.
json::object CountsJson(const Usage& usage, int output_tokens) {
  return {{"input_tokens", usage.rest()},
          {"cache_creation_input_tokens", usage.write()},
          {"cache_read_input_tokens", usage.read},
          {"output_tokens", output_tokens}};
}

json::object FullUsageJson(const Usage& usage, int output_tokens) {
  json::object counts = CountsJson(usage, output_tokens);
  counts["cache_creation"] = {{"ephemeral_5m_input_tokens", usage.write_short},
                              {"ephemeral_1h_input_tokens", usage.write_long}};
  counts["service_tier"] = "standard";
  return counts;
}

// Every event's data names its type again.
void AppendEvent(std::string& stream, const json::object& data) {
  AppendNamedSseEvent(stream, std::string_view(data.at("type").as_string()), json::serialize(data));
}

// Thinking is signed so that clients send it back; here nothing depends on it.
constexpr const char* kSignature = "reprise";

json::object BlockOf(const ReplyPart& part) {
  if (part.kind == ReplyPart::Kind::kThinking) {
    return {{"type", "thinking"}, {"thinking", part.text}, {"signature", kSignature}};
  }
  if (part.kind == ReplyPart::Kind::kText) return {{"type", "text"}, {"text", part.text}};
  // A call that was cut has no input to show.
  if (part.state != ReplyPart::State::kWhole) return {{"type", "text"}, {"text", part.written}};
  return {{"type", "tool_use"},
          {"id", part.call_id},
          {"name", part.name},
          {"input", *ParseJson(part.text)}};
}

// As a block begins in a stream.
json::object EmptyBlockOf(const ReplyPart& part) {
  switch (part.kind) {
    case ReplyPart::Kind::kThinking:
      return {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
    case ReplyPart::Kind::kText:
      return {{"type", "text"}, {"text", ""}};
    case ReplyPart::Kind::kCall:
      return {{"type", "tool_use"},
              {"id", part.call_id},
              {"name", part.name},
              {"input", json::object()}};
  }
  return {};
}

void EndBlock(const std::vector<ReplyPart>& parts, size_t index, std::string& stream) {
  if (parts[index].kind == ReplyPart::Kind::kThinking) {
    AppendEvent(stream, {{"type", "content_block_delta"},
                         {"index", index},
                         {"delta", {{"type", "signature_delta"}, {"signature", kSignature}}}});
  }
  AppendEvent(stream, {{"type", "content_block_stop"}, {"index", index}});
}

Usage UsageOfStart(const Choice& choice) {
  return ComputeUsage(choice.started->prompt_tokens, choice.started->cached_tokens,
                      choice.started->breakpoints);
}

}  // namespace

json::object AnthropicReply::Message(json::array content, const Choice& choice,
                                     int output_tokens) const {
  return {{"id", label_.id},
          {"type", "message"},
          {"role", "assistant"},
          {"model", label_.model},
          {"content", std::move(content)},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr},
          {"usage", FullUsageJson(UsageOfStart(choice), output_tokens)},
          {"diagnostics", DiagnosticsJson(choice.cache_miss)}};
}

void AnthropicReply::AddStop(const Choice& choice, json::object& into) const {
  const FinishedEvent& event = *choice.finished;
  into["stop_sequence"] = nullptr;
  switch (event.reason) {
    case FinishReason::kStop:
      into["stop_reason"] = choice.calls_tools() ? "tool_use" : "end_turn";
      break;
    case FinishReason::kStopString:
      into["stop_reason"] = "stop_sequence";
      into["stop_sequence"] = event.stop_string;
      break;
    case FinishReason::kLength:
      into["stop_reason"] =
          event.completion_tokens >= max_tokens_ ? "max_tokens" : "model_context_window_exceeded";
      break;
  }
  if (label_.checksum) into["logits_checksum"] = fmt::format("{:016x}", event.logits_checksum);
}

std::string AnthropicReply::Body(std::vector<Choice>& choices, const CallUsage& usage) const {
  const Choice& choice = choices.front();
  json::array content;
  for (const ReplyPart& part : choice.parts) {
    if (part.kind == ReplyPart::Kind::kCall && part.state == ReplyPart::State::kNone) continue;
    if (part.kind != ReplyPart::Kind::kCall && part.text.empty()) continue;
    content.push_back(BlockOf(part));
  }
  json::object message = Message(std::move(content), choice, usage.completion_tokens);
  AddStop(choice, message);
  return json::serialize(message);
}

void AnthropicReply::WriteStart(size_t /*index*/, const Choice& choice, std::string& stream) const {
  AppendEvent(stream, {{"type", "message_start"}, {"message", Message({}, choice, 0)}});
}

void AnthropicReply::WritePiece(size_t /*index*/, const ReplyPiece& piece, bool begins,
                                Choice& choice, std::string& stream) const {
  using Kind = ReplyPiece::Kind;
  if (choice.parts.empty() || (piece.text.empty() && !begins)) return;
  const size_t block = choice.parts.size() - 1;
  if (begins) {
    if (block > 0) EndBlock(choice.parts, block - 1, stream);
    AppendEvent(stream, {{"type", "content_block_start"},
                         {"index", block},
                         {"content_block", EmptyBlockOf(choice.parts.back())}});
  }
  json::object delta;
  switch (piece.kind) {
    case Kind::kText:
    case Kind::kNoCall:
      delta = {{"type", "text_delta"}, {"text", piece.text}};
      break;
    case Kind::kThinking:
      delta = {{"type", "thinking_delta"}, {"thinking", piece.text}};
      break;
    case Kind::kArguments:
      delta = {{"type", "input_json_delta"}, {"partial_json", piece.text}};
      break;
    case Kind::kCall:
    case Kind::kCallEnd:
    case Kind::kCutCall:
      return;
  }
  AppendEvent(stream, {{"type", "content_block_delta"}, {"index", block}, {"delta", delta}});
}

void AnthropicReply::WriteFinish(size_t /*index*/, Choice& choice, std::string& stream) const {
  if (!choice.parts.empty()) EndBlock(choice.parts, choice.parts.size() - 1, stream);
  json::object delta;
  AddStop(choice, delta);
  AppendEvent(stream,
              {{"type", "message_delta"},
               {"delta", std::move(delta)},
               {"usage", CountsJson(UsageOfStart(choice), choice.finished->completion_tokens)}});
}

void AnthropicReply::WriteEnd(const CallUsage& /*usage*/, std::string& stream) const {
  AppendEvent(stream, {{"type", "message_stop"}});
}

void AnthropicReply::WriteError(const Error& error, std::string& stream) const {
  AppendNamedSseEvent(stream, "error", AnthropicError(error, label_.request_id).body);
}

std::string_view AnthropicReply::ping() const {
  return "event: ping\ndata: {\"type\": \"ping\"}\n\n";
}

}  // namespace reprise
