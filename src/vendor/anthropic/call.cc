#include "vendor/anthropic/call.h"

#include <fmt/format.h>

#include <limits>
#include <string>
#include <utility>

#include "base/limits.h"
#include "vendor/anthropic/conversation.h"
#include "vendor/anthropic/fields.h"
#include "vendor/anthropic/form.h"
#include "vendor/json_reader.h"
#include "vendor/marker_rules.h"

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
std::optional<DiagnosticsRequest> ReadDiagnostics(FieldReader& fields, MarkerRules& rules) {
  const json::value* value = fields.Find("diagnostics");
  if (value == nullptr) return std::nullopt;
  const json::object* object = value->if_object();
  if (object == nullptr) {
    rules.Breach("diagnostics", "Input should be an object");
    return std::nullopt;
  }
  DiagnosticsRequest diagnostics;
  const json::value* previous = object->if_contains("previous_message_id");
  if (previous == nullptr || previous->is_null()) return diagnostics;
  if (!previous->is_string()) {
    rules.Breach("diagnostics.previous_message_id", "Input should be a string or null");
    return std::nullopt;
  }
  diagnostics.previous_message_id = std::string(std::string_view(previous->get_string()));
  return diagnostics;
}

std::string TooLong(size_t tokens, size_t longest, int /*context*/) {
  // Agents look for these words to know that a conversation must be shortened.
  return fmt::format("prompt is too long: {} tokens > {} maximum", tokens, longest);
}

// Reads the conversation, adds its prompt to the call.
Status ReadPrompt(FieldReader& fields, const ServedModel& model, MarkerRules& rules, Call& call) {
  AnthropicConversation read =
      ReadAnthropicConversation(fields, model.policy.drop_billing_line, rules);
  call.diagnostics = ReadDiagnostics(fields, rules);
  fields.Adopt(rules.status());
  if (!fields.ok()) return fields.status();
  WantedForm wanted = ReadAnthropicForm(fields, read.conversation.arguments);
  if (!fields.ok()) return fields.status();
  call.dropped_billing_line = read.dropped_billing_line;
  call.warning = rules.warning();
  const Status added = AddPrompt(read.conversation, model, call);
  if (!added) return added;
  return ApplyForm(std::move(wanted), read.conversation.tools, model, call);
}

}  // namespace

Result<Call> ReadMessagesCall(std::string_view body, const Caller& caller,
                              const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  Call call = BeginCall(caller);
  FieldReader fields(*object, "");
  MarkerRules rules(model.policy);
  call.ignored = ApplyFieldRules(kAnthropicFields, fields);
  call.model_name = ReadModelName(fields, model);
  ReadMessagesParameters(fields, call.parameters);
  if (fields.ok()) fields.Adopt(ReadPrompt(fields, model, rules, call));
  if (fields.ok()) fields.Adopt(CheckPrompts(call, model, {"messages", TooLong}));
  if (!fields.ok()) return std::unexpected(fields.status().error());
  return call;
}

Result<size_t> CountMessageTokens(std::string_view body, const Caller& caller,
                                  const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  FieldReader fields(*object, "");
  ApplyFieldRules(kAnthropicFields, fields);
  ReadModelName(fields, model);
  if (!fields.ok()) return std::unexpected(fields.status().error());
  MarkerRules rules(model.policy);
  AnthropicConversation read =
      ReadAnthropicConversation(fields, model.policy.drop_billing_line, rules);
  ReadAnthropicForm(fields, read.conversation.arguments);
  fields.Adopt(rules.status());
  if (!fields.ok()) return std::unexpected(fields.status().error());
  // Only the count is wanted, so neither marks nor parts are looked for in the prompt.
  read.conversation.marks.clear();
  read.conversation.outline = {};
  Call call = BeginCall(caller);
  if (Status added = AddPrompt(read.conversation, model, call); !added) {
    return std::unexpected(std::move(added).error());
  }
  if (!call.least_tokens.empty()) {
    const auto longest = static_cast<size_t>(model.max_sequence_tokens);
    return Fail(ErrorCode::kContextLengthExceeded, TooLong(call.least_tokens.front(), longest, 0),
                "messages");
  }
  return call.prompts.front().size();
}

}  // namespace reprise
