#include "vendor/openai/endpoints.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/limits.h"
#include "vendor/json_reader.h"
#include "vendor/openai/caching.h"
#include "vendor/openai/conversation.h"
#include "vendor/openai/errors.h"
#include "vendor/openai/fields.h"
#include "vendor/openai/form.h"
#include "vendor/openai/parameters.h"
#include "vendor/openai/prediction.h"
#include "vendor/openai/reply.h"
#include "vendor/openai/text_prompt.h"
#include "vendor/openai/too_long.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr int kTextMaxTokens = 16;  // the vendor's default for /v1/completions

void RefuseUnsupportedText(FieldReader& fields, const CompletionParameters& parameters) {
  if (fields.Bool("echo").value_or(false)) {
    fields.Refuse(ErrorCode::kUnsupported, "echo", "'echo' is not supported.");
  }
  if (!fields.String("suffix").value_or("").empty()) {
    fields.Refuse(ErrorCode::kUnsupported, "suffix", "'suffix' is not supported.");
  }
  const auto best_of = fields.Integer("best_of", 1, limits::kMaxChoices);
  if (best_of && *best_of != parameters.choices) {
    fields.Refuse(ErrorCode::kUnsupported, "best_of",
                  "'best_of' is not supported, except equal to 'n'.");
  }
}

// What both endpoints read of a body before and after what is their own.
struct CallReading {
  CallReading(const json::object& body, const Caller& caller, const ServedModel& served)
      : model(served), call(BeginCall(caller)), fields(body, ""), rules(served.policy) {
    call.ignored = ApplyFieldRules(kOpenAiFields, fields);
    call.model_name = ReadModelName(fields, model);
    caching = ReadOpenAiCaching(fields, model.policy, rules);
  }

  Result<Call> Finish(const char* prompt_field) {
    fields.Adopt(rules.status());
    ApplyCaching(caching, model, call);
    if (fields.ok()) fields.Adopt(CheckPrompts(call, model, {prompt_field, TooLongForOpenAi}));
    if (!fields.ok()) return std::unexpected(fields.status().error());
    call.warning = rules.warning();
    return std::move(call);
  }

  const ServedModel& model;
  Call call;
  FieldReader fields;
  MarkerRules rules;
  OpenAiCaching caching;
};

Status ReadChatPrompt(const json::object& body, CallReading& reading) {
  Result<Conversation> conversation =
      ReadOpenAiConversation(body, reading.caching.ttl, reading.rules);
  if (!conversation) return std::unexpected(std::move(conversation).error());
  KeepLatestMarks(reading.caching, conversation->marks);
  WantedForm wanted = ReadOpenAiForm(reading.fields);
  if (!reading.fields.ok()) return reading.fields.status();
  const Status added = AddPrompt(*conversation, reading.model, reading.call);
  if (!added) return added;
  reading.call.legacy_functions = reading.fields.Find("functions") != nullptr;
  return ApplyForm(std::move(wanted), conversation->tools, reading.model, reading.call);
}

Result<Call> ReadChatCompletion(std::string_view body, const Caller& caller,
                                const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  CallReading reading(*object, caller, model);
  reading.call.parameters.max_tokens = model.default_max_tokens;
  ReadParameters(reading.fields, model.vocabulary, reading.call.parameters);
  ReadChatLogprobs(reading.fields, reading.call.parameters);
  const std::string predicted = ReadPrediction(reading.fields);
  if (reading.fields.ok()) reading.fields.Adopt(ReadChatPrompt(*object, reading));
  Result<Call> call = reading.Finish("messages");
  if (call && !model.prompts_only) {
    call->prediction = PredictedTokens(predicted, model, caller.tenant);
  }
  return call;
}

Result<Call> ReadTextCompletion(std::string_view body, const Caller& caller,
                                const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  CallReading reading(*object, caller, model);
  reading.call.parameters.max_tokens = kTextMaxTokens;
  ReadParameters(reading.fields, model.vocabulary, reading.call.parameters);
  ReadTextLogprobs(reading.fields, reading.call.parameters);
  RefuseUnsupportedText(reading.fields, reading.call.parameters);
  const WantedForm wanted = ReadOpenAiForm(reading.fields);
  if (reading.fields.ok())
    ReadTextPrompts(reading.fields, "prompt", limits::kMaxChoices, model, reading.call);
  if (reading.fields.ok()) reading.fields.Adopt(ApplyGrammar(wanted, model, reading.call));
  return reading.Finish("prompt");
}

template <OpenAiObject object>
std::unique_ptr<const ReplyFormat> FormatOf(ReplyLabel label, const Call& call,
                                            const ServedModel& model) {
  const CompletionParameters& parameters = call.parameters;
  return std::make_unique<OpenAiReply>(
      object, std::move(label),
      OpenAiReplyOptions{.logprobs = parameters.top_logprobs >= 0,
                         .stream = parameters.stream,
                         .usage_in_stream = parameters.include_usage,
                         .legacy_functions = call.legacy_functions},
      *model.tokenizer);
}

}  // namespace

std::string TooLongForOpenAi(size_t tokens, size_t /*longest*/, int context) {
  // OpenAI's words; agents look for them to know that a conversation must be shortened. Others look
  // for the code, and some see nothing but the message (tests/clients/test_overflow.py).
  return fmt::format(
      "This model's maximum context length is {} tokens. However, your messages resulted in {} "
      "tokens. Please reduce the length of the messages. (context_length_exceeded)",
      context, tokens);
}

const WireForm kOpenAi = {OpenAiError, ""};
const WireEndpoint kChatCompletions = {"/v1/chat/completions", "chatcmpl-", "call_",
                                       ReadChatCompletion, FormatOf<OpenAiObject::kChat>};
const WireEndpoint kTextCompletions = {"/v1/completions", "cmpl-", "", ReadTextCompletion,
                                       FormatOf<OpenAiObject::kText>};

}  // namespace reprise
