#include "api/anthropic_call.h"

#include <fmt/format.h>

#include <limits>
#include <string>
#include <utility>

#include "api/anthropic_chat.h"
#include "api/json_reader.h"
#include "api/marker_rules.h"
#include "api/rendered_prompt.h"
#include "base/limits.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr int64_t kIntMax = std::numeric_limits<int>::max();

void ReadStopSequences(FieldReader& fields, std::vector<std::string>& stop) {
  const json::array* list = fields.Array("stop_sequences", limits::kMaxStopStrings);
  if (list == nullptr) return;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("stop_sequences.{}", i);
    const json::value& value = (*list)[i];
    if (!value.is_string() || value.get_string().size() > limits::kMaxStopStringBytes) {
      fields.Refuse(ErrorCode::kInvalidArgument, path,
                    fmt::format("{}: Input should be a string of at most {} bytes", path,
                                limits::kMaxStopStringBytes));
      return;
    }
    if (!value.get_string().empty()) stop.emplace_back(std::string_view(value.get_string()));
  }
}

void ReadMessagesParameters(FieldReader& fields, CompletionParameters& parameters) {
  const auto max_tokens = fields.Integer("max_tokens", 0, kIntMax);
  if (!max_tokens) {
    fields.Refuse(ErrorCode::kInvalidArgument, "max_tokens", "max_tokens: Field required");
    return;
  }
  parameters.max_tokens = static_cast<int>(*max_tokens);
  parameters.stream = fields.Bool("stream").value_or(false);
  if (parameters.stream && *max_tokens == 0) {
    fields.Refuse(ErrorCode::kInvalidArgument, "stream",
                  "stream: max_tokens 0 fills the cache and generates nothing, so it cannot be "
                  "streamed");
  }
  SamplingParameters& sampling = parameters.sampling;
  if (const auto value = fields.Number("temperature", 0, 1)) {
    sampling.temperature = static_cast<float>(*value);
  }
  if (const auto value = fields.Number("top_p", 0, 1)) sampling.top_p = static_cast<float>(*value);
  if (const auto value = fields.Integer("top_k", 0, kIntMax)) {
    sampling.top_k = static_cast<int>(*value);
  }
  if (const auto value = fields.Integer("seed", 0, std::numeric_limits<int64_t>::max())) {
    sampling.seed = static_cast<uint64_t>(*value);
    parameters.seeded = true;
  }
  ReadStopSequences(fields, parameters.stop);
}

// {"previous_message_id": string or null}. A diagnosis that is asked for wrongly fails no request.
std::optional<DiagnosticsWish> ReadDiagnostics(FieldReader& fields, MarkerRules& rules) {
  const json::value* value = fields.Find("diagnostics");
  if (value == nullptr) return std::nullopt;
  const json::object* object = value->if_object();
  if (object == nullptr) {
    rules.Breach("diagnostics", "Input should be an object");
    return std::nullopt;
  }
  DiagnosticsWish wish;
  const json::value* previous = object->if_contains("previous_message_id");
  if (previous == nullptr || previous->is_null()) return wish;
  if (!previous->is_string()) {
    rules.Breach("diagnostics.previous_message_id", "Input should be a string or null");
    return std::nullopt;
  }
  wish.previous_message_id = std::string(std::string_view(previous->get_string()));
  return wish;
}

enum class Marks : uint8_t { kPlaced, kIgnored };

Status ReadPrompt(FieldReader& fields, const ServedModel& model, Marks marks, Call& call) {
  MarkerRules rules(model.policy);
  AnthropicChat chat = ReadAnthropicChat(fields, model, rules);
  if (marks == Marks::kPlaced) call.diagnostics = ReadDiagnostics(fields, rules);
  fields.Adopt(rules.status());
  if (!fields.ok()) return fields.status();
  if (marks == Marks::kIgnored) chat.prompt.marks.clear();
  Result<RenderedPrompt> rendered = RenderPrompt(chat.prompt, model, call.tenant);
  if (!rendered) return std::unexpected(std::move(rendered).error());
  if (marks == Marks::kIgnored) chat.prompt.anatomy.parts.clear();
  AdoptPrompt(std::move(chat.prompt), std::move(*rendered), model, call);
  call.dropped_billing_line = chat.dropped_billing_line;
  call.warning = rules.warning();
  return {};
}

}  // namespace

Result<Call> ReadMessagesCall(std::string_view body, const Caller& caller,
                              const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  Call call;
  call.endpoint = Endpoint::kMessages;
  call.tenant = caller.tenant;
  call.parameters.sampling.seed = caller.seed;
  FieldReader fields(*object, "");
  call.model_name = ReadModelName(fields, model);
  ReadMessagesParameters(fields, call.parameters);
  if (fields.ok()) fields.Adopt(ReadPrompt(fields, model, Marks::kPlaced, call));
  if (fields.ok()) fields.Adopt(CheckPrompts(call, model));
  if (!fields.ok()) return std::unexpected(fields.status().error());
  return call;
}

Result<size_t> CountMessageTokens(std::string_view body, const Caller& caller,
                                  const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  Call call;
  call.tenant = caller.tenant;
  FieldReader fields(*object, "");
  ReadModelName(fields, model);
  if (fields.ok()) fields.Adopt(ReadPrompt(fields, model, Marks::kIgnored, call));
  if (!fields.ok()) return std::unexpected(fields.status().error());
  return call.prompts.front().size();
}

}  // namespace reprise
