#include "vendor/anthropic/reply.h"

#include <fmt/format.h>

#include <utility>

#include "vendor/anthropic/diagnostics.h"
#include "vendor/anthropic/errors.h"
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

void AnthropicReply::AddStop(const FinishedEvent& event, json::object& into) const {
  into["stop_sequence"] = nullptr;
  switch (event.reason) {
    case FinishReason::kStop:
      into["stop_reason"] = "end_turn";
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
  if (!choice.text.empty()) content.push_back({{"type", "text"}, {"text", choice.text}});
  json::object message = Message(std::move(content), choice, usage.completion_tokens);
  AddStop(*choice.finished, message);
  return json::serialize(message);
}

void AnthropicReply::WriteStart(size_t /*index*/, const Choice& choice, std::string& stream) const {
  AppendEvent(stream, {{"type", "message_start"}, {"message", Message({}, choice, 0)}});
}

void AnthropicReply::WriteText(size_t /*index*/, const TextEvent& event, Choice& choice,
                               std::string& stream) const {
  if (event.text.empty()) return;
  if (choice.text.empty()) {
    AppendEvent(stream, {{"type", "content_block_start"},
                         {"index", 0},
                         {"content_block", {{"type", "text"}, {"text", ""}}}});
  }
  AppendEvent(stream, {{"type", "content_block_delta"},
                       {"index", 0},
                       {"delta", {{"type", "text_delta"}, {"text", event.text}}}});
}

void AnthropicReply::WriteFinish(size_t /*index*/, const Choice& choice,
                                 std::string& stream) const {
  if (!choice.text.empty()) AppendEvent(stream, {{"type", "content_block_stop"}, {"index", 0}});
  json::object delta;
  AddStop(*choice.finished, delta);
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
