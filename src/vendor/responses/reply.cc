#include "vendor/responses/reply.h"

#include <fmt/format.h>

#include <utility>

#include "base/base64.h"
#include "vendor/openai/errors.h"
#include "vendor/sse.h"

namespace reprise {
namespace json = boost::json;
namespace {

json::object UsageJson(const CallUsage& usage) {
  return {{"input_tokens", usage.prompt.total},
          {"input_tokens_details",
           {{"cached_tokens", usage.prompt.read}, {"cache_write_tokens", usage.prompt.write()}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.thinking_tokens}}},
          {"total_tokens", usage.prompt.total + usage.completion_tokens}};
}

json::object TextPart(std::string_view text) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", json::array()},
          {"logprobs", json::array()}};
}

std::string_view StatusOf(const ReplyPart& part, bool finished) {
  if (!finished) return "in_progress";
  const bool whole = part.kind != ReplyPart::Kind::kCall || part.state == ReplyPart::State::kWhole;
  return whole ? "completed" : "incomplete";
}

}  // namespace

std::string ResponsesReply::ItemId(const ReplyPart& part, size_t index) const {
  const char* prefix = "msg";
  if (part.kind == ReplyPart::Kind::kCall) prefix = "fc";
  if (part.kind == ReplyPart::Kind::kThinking) prefix = "rs";
  const size_t at = label_.id.find('_');
  return fmt::format("{}{}_{}", prefix,
                     std::string_view(label_.id).substr(at == label_.id.npos ? 0 : at), index);
}

json::object ResponsesReply::BeginningOf(const ReplyPart& part, size_t index) const {
  json::object item = {{"id", ItemId(part, index)}};
  switch (part.kind) {
    case ReplyPart::Kind::kText:
      item["type"] = "message";
      item["role"] = "assistant";
      item["content"] = json::array();
      break;
    case ReplyPart::Kind::kThinking:
      item["type"] = "reasoning";
      item["summary"] = json::array();
      item["content"] = json::array();
      break;
    case ReplyPart::Kind::kCall:
      item["type"] = "function_call";
      item["call_id"] = part.call_id;
      item["name"] = part.name;
      item["arguments"] = "";
      break;
  }
  item["status"] = StatusOf(part, /*finished=*/false);
  return item;
}

json::object ResponsesReply::Item(const ReplyPart& part, size_t index) const {
  json::object item = BeginningOf(part, index);
  switch (part.kind) {
    case ReplyPart::Kind::kText:
      item["content"] = json::array{TextPart(part.text)};
      break;
    case ReplyPart::Kind::kThinking:
      item["content"] = {{{"type", "reasoning_text"}, {"text", part.text}}};
      if (plan_->seal_thinking) item["encrypted_content"] = EncodeBase64(part.text);
      break;
    case ReplyPart::Kind::kCall:
      item["arguments"] = part.text;
      break;
  }
  item["status"] = StatusOf(part, /*finished=*/true);
  return item;
}

json::array ResponsesReply::Output(const Choice& choice) const {
  json::array output;
  for (size_t i = 0; i < choice.parts.size(); ++i) {
    const ReplyPart& part = choice.parts[i];
    const bool none = part.kind == ReplyPart::Kind::kCall && part.state == ReplyPart::State::kNone;
    if (!none) output.push_back(Item(part, i));
  }
  return output;
}

json::object ResponsesReply::Response(std::string_view status) const {
  json::object response = {{"id", label_.id},
                           {"object", "response"},
                           {"created_at", label_.created},
                           {"status", status},
                           {"background", false},
                           {"error", nullptr},
                           {"incomplete_details", nullptr},
                           {"model", label_.model},
                           {"output", json::array()},
                           {"usage", nullptr}};
  for (const auto& [key, value] : plan_->echo) response[key] = value;
  return response;
}

json::object ResponsesReply::Finished(const Choice& choice, const CallUsage& usage) const {
  const bool cut = choice.finished->reason == FinishReason::kLength;
  json::object response = Response(cut ? "incomplete" : "completed");
  if (cut) response["incomplete_details"] = {{"reason", "max_output_tokens"}};
  response["output"] = Output(choice);
  response["usage"] = UsageJson(usage);
  if (label_.checksum) {
    response["logits_checksum"] = fmt::format("{:016x}", choice.finished->logits_checksum);
  }
  Store(response);
  return response;
}

void ResponsesReply::Store(const json::object& response) const {
  if (plan_->store == nullptr) return;
  std::string items = plan_->items;
  items.pop_back();  // ']'
  for (const json::value& item : response.at("output").as_array()) {
    items += fmt::format("{}{}", items.size() > 1 ? "," : "", json::serialize(item));
  }
  items += ']';
  plan_->store->Put(plan_->tenant, label_.id, {json::serialize(response), std::move(items)});
}

std::string ResponsesReply::stored_id() const {
  return plan_->store == nullptr ? std::string() : label_.id;
}

std::string ResponsesReply::Body(std::vector<Choice>& choices, const CallUsage& usage) const {
  return json::serialize(Finished(choices.front(), usage));
}

void ResponsesReply::AppendEvent(std::string_view type, json::object data,
                                 std::string& stream) const {
  json::object event = {{"type", type}, {"sequence_number", events_++}};
  for (auto& [key, value] : data) event[key] = std::move(value);
  AppendNamedSseEvent(stream, type, json::serialize(event));
}

void ResponsesReply::WriteStart(size_t /*index*/, const Choice& /*choice*/,
                                std::string& stream) const {
  AppendEvent("response.created", {{"response", Response("in_progress")}}, stream);
  AppendEvent("response.in_progress", {{"response", Response("in_progress")}}, stream);
}

void ResponsesReply::WritePiece(size_t /*index*/, const ReplyPiece& piece, bool begins,
                                Choice& choice, std::string& stream) const {
  using Kind = ReplyPiece::Kind;
  if (choice.parts.empty()) return;
  const size_t at = choice.parts.size() - 1;
  const ReplyPart& part = choice.parts[at];
  const std::string id = ItemId(part, at);
  if (begins) {
    if (at > 0) EndPart(choice.parts[at - 1], at - 1, stream);
    AppendEvent("response.output_item.added",
                {{"output_index", at}, {"item", BeginningOf(part, at)}}, stream);
    if (part.kind == ReplyPart::Kind::kText) {
      AppendEvent(
          "response.content_part.added",
          {{"item_id", id}, {"output_index", at}, {"content_index", 0}, {"part", TextPart("")}},
          stream);
    }
  }
  if (piece.text.empty()) return;
  json::object delta = {{"item_id", id}, {"output_index", at}, {"delta", piece.text}};
  switch (piece.kind) {
    case Kind::kText:
    case Kind::kNoCall:
      delta["content_index"] = 0;
      delta["logprobs"] = json::array();
      AppendEvent("response.output_text.delta", std::move(delta), stream);
      break;
    case Kind::kThinking:
      delta["content_index"] = 0;
      AppendEvent("response.reasoning_text.delta", std::move(delta), stream);
      break;
    case Kind::kArguments:
      AppendEvent("response.function_call_arguments.delta", std::move(delta), stream);
      break;
    case Kind::kCall:
    case Kind::kCallEnd:
    case Kind::kCutCall:
      break;
  }
}

void ResponsesReply::EndPart(const ReplyPart& part, size_t index, std::string& stream) const {
  json::object done = {{"item_id", ItemId(part, index)}, {"output_index", index}};
  switch (part.kind) {
    case ReplyPart::Kind::kText: {
      done["content_index"] = 0;
      json::object part_done = done;
      done["text"] = part.text;
      done["logprobs"] = json::array();
      AppendEvent("response.output_text.done", std::move(done), stream);
      part_done["part"] = TextPart(part.text);
      AppendEvent("response.content_part.done", std::move(part_done), stream);
      break;
    }
    case ReplyPart::Kind::kThinking:
      done["content_index"] = 0;
      done["text"] = part.text;
      AppendEvent("response.reasoning_text.done", std::move(done), stream);
      break;
    case ReplyPart::Kind::kCall:
      done["arguments"] = part.text;
      done["name"] = part.name;
      AppendEvent("response.function_call_arguments.done", std::move(done), stream);
      break;
  }
  AppendEvent("response.output_item.done", {{"output_index", index}, {"item", Item(part, index)}},
              stream);
}

void ResponsesReply::WriteFinish(size_t /*index*/, Choice& choice, std::string& stream) const {
  if (!choice.parts.empty()) EndPart(choice.parts.back(), choice.parts.size() - 1, stream);
  finished_ = &choice;
}

void ResponsesReply::WriteEnd(const CallUsage& usage, std::string& stream) const {
  json::object response = Finished(*finished_, usage);
  const bool cut = response.at("status") == "incomplete";
  AppendEvent(cut ? "response.incomplete" : "response.completed",
              {{"response", std::move(response)}}, stream);
}

void ResponsesReply::WriteError(const Error& error, std::string& stream) const {
  const json::object reply = json::parse(OpenAiError(error, label_.request_id).body).as_object();
  const json::object& fault = reply.at("error").as_object();
  json::object response = Response("failed");
  response["error"] = {
      {"code", fault.at("code").is_string() ? fault.at("code") : json::value("server_error")},
      {"message", fault.at("message")}};
  AppendEvent("response.failed", {{"response", std::move(response)}}, stream);
}

std::string_view ResponsesReply::ping() const { return kSsePing; }

}  // namespace reprise
