#include "api/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "api/json_reader.h"
#include "api/marker_rules.h"
#include "api/openai_caching.h"
#include "api/prompt.h"
#include "api/rendered_prompt.h"
#include "base/limits.h"
#include "cache/scope.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr int kTextMaxTokens = 16;  // the vendor's default for /v1/completions

// Chat: logprobs is a boolean, top_logprobs a number that needs it.
void ReadChatLogprobs(FieldReader& fields, CompletionParameters& parameters) {
  const bool wanted = fields.Bool("logprobs").value_or(false);
  const auto top = fields.Integer("top_logprobs", 0, limits::kMaxTopLogprobs);
  if (wanted) parameters.top_logprobs = static_cast<int>(top.value_or(0));
  if (!wanted && top.value_or(0) > 0) {
    fields.Refuse(ErrorCode::kInvalidArgument, "top_logprobs",
                  "'top_logprobs' needs 'logprobs': true.");
  }
}

// Text: logprobs is the number of alternatives.
void ReadTextLogprobs(FieldReader& fields, CompletionParameters& parameters) {
  if (const auto top = fields.Integer("logprobs", 0, limits::kMaxTopLogprobs)) {
    parameters.top_logprobs = static_cast<int>(*top);
  }
}

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

std::vector<TokenId> ReadTokens(FieldReader& fields, const json::array& list, int vocabulary) {
  std::vector<TokenId> tokens;
  tokens.reserve(list.size());
  for (const json::value& value : list) {
    const auto token = ToInteger(value);
    if (!token || *token < 0 || *token >= vocabulary) {
      fields.Refuse(ErrorCode::kInvalidArgument, "prompt",
                    fmt::format("A prompt of tokens holds integers from 0 to {}.", vocabulary - 1));
      return {};
    }
    tokens.push_back(static_cast<TokenId>(*token));
  }
  return tokens;
}

// Control tokens spelled in a prompt of plain text are parsed: this endpoint is the one without a
// template, so the text is the client's own template.
std::vector<TokenId> EncodeText(std::string_view text, const Tokenizer& tokenizer,
                                std::string_view tenant) {
  return tokenizer.Encode(text, {.add_special = true, .parse_special = true, .tenant = tenant});
}

void AddPrompt(FieldReader& fields, const json::value& value, const ServedModel& model,
               Call& call) {
  if (value.is_string()) {
    call.prompts.push_back(
        EncodeText(std::string_view(value.get_string()), *model.tokenizer, call.tenant));
  } else if (value.is_array()) {
    call.prompts.push_back(ReadTokens(fields, value.get_array(), model.vocabulary));
  } else {
    fields.Refuse(ErrorCode::kInvalidArgument, "prompt",
                  fmt::format("'prompt' must be a string, an array of strings, an array of tokens "
                              "or an array of those, not {}.",
                              KindName(value)));
  }
}

// A string, [strings], [tokens] or [[tokens]].
void ReadTextPrompts(FieldReader& fields, const ServedModel& model, Call& call) {
  const json::value* prompt = fields.Find("prompt");
  if (prompt == nullptr) {
    fields.Refuse(ErrorCode::kInvalidArgument, "prompt", "'prompt' is missing.");
    return;
  }
  const json::array* list = prompt->if_array();
  const bool many =
      list != nullptr && !list->empty() && (list->front().is_string() || list->front().is_array());
  if (!many) return AddPrompt(fields, *prompt, model, call);
  if (list->size() * static_cast<size_t>(call.parameters.choices) > limits::kMaxChoices) {
    fields.Refuse(ErrorCode::kInvalidArgument, "prompt",
                  fmt::format("Prompts times 'n' may be {} at most.", limits::kMaxChoices));
    return;
  }
  for (const json::value& entry : *list) AddPrompt(fields, entry, model, call);
}

Status ReadChatPrompt(const json::object& body, const OpenAiCaching& caching,
                      const ServedModel& model, MarkerRules& rules, Call& call) {
  Result<ChatPrompt> chat = ReadChat(body, model, rules, caching.ttl);
  if (!chat) return std::unexpected(std::move(chat).error());
  chat->marks =
      MarkerRules::SettleOpenAi(std::move(chat->marks), kMaxMarks - (caching.keep ? 1 : 0));
  if (caching.keep) chat->marks.push_back({CacheMark::Place::kPromptEnd, 0, 0, *caching.keep});
  Result<RenderedPrompt> rendered = RenderPrompt(*chat, model, call.tenant);
  if (!rendered) return std::unexpected(std::move(rendered).error());
  AdoptPrompt(std::move(*chat), std::move(*rendered), model, call);
  return {};
}

// What concerns the cache, once the prompts are there.
void ApplyCaching(const OpenAiCaching& caching, const ServedModel& model, Call& call) {
  if (model.policy.cache_key_isolates) call.cache_key = caching.key;
  if (call.endpoint == Endpoint::kText && caching.keep) {
    for (const std::vector<TokenId>& prompt : call.prompts) {
      call.breakpoints.push_back({{std::max<size_t>(prompt.size(), 1), *caching.keep}});
    }
  }
  call.breakpoints.resize(call.prompts.size());
  const bool marked =
      std::ranges::any_of(call.breakpoints, [](const auto& b) { return !b.empty(); });
  if (caching.explicit_only && !marked) call.parameters.cache = CacheUse::kNone;
}

}  // namespace

std::string ReadModelName(FieldReader& fields, const ServedModel& model) {
  const std::optional<std::string_view> name = fields.String("model");
  if (model.strict_model && name && name != model.name) {
    fields.Refuse(ErrorCode::kNotFound, "model",
                  fmt::format("The model '{}' is not served here; '{}' is.", *name, model.name));
  }
  return std::string(name.value_or(""));
}

void AdoptPrompt(ChatPrompt chat, RenderedPrompt rendered, const ServedModel& model, Call& call) {
  if (model.policy.history > 0) {
    call.landmarks.push_back(LocateParts(rendered.tokens, chat.anatomy.parts, *model.tokenizer));
  }
  call.fingerprint = std::move(chat.anatomy.fingerprint);
  call.prompts.push_back(std::move(rendered.tokens));
  call.breakpoints.push_back(std::move(rendered.breakpoints));
  call.chat_context = std::move(chat.context);
}

Status CheckPrompts(Call& call, const ServedModel& model) {
  const std::string field = call.endpoint == Endpoint::kText ? "prompt" : "messages";
  const int reserve = call.parameters.max_tokens == 0 ? 0 : 1;
  const size_t longest = static_cast<size_t>(model.max_sequence_tokens - reserve);
  for (std::vector<TokenId>& prompt : call.prompts) {
    if (prompt.empty()) {
      const auto bos = model.tokenizer->vocabulary().bos;
      if (!bos) return Fail(ErrorCode::kInvalidArgument, "The prompt is empty.", field);
      prompt.push_back(*bos);
    }
    if (prompt.size() > longest) {
      // Agents look for these words to know that a conversation must be shortened.
      const std::string message =
          call.endpoint == Endpoint::kMessages
              ? fmt::format("prompt is too long: {} tokens > {} maximum", prompt.size(), longest)
              : fmt::format("The prompt has {} tokens, but the context holds {} with the reply.",
                            prompt.size(), model.max_sequence_tokens);
      return Fail(ErrorCode::kContextLengthExceeded, message, field);
    }
  }
  const size_t minimum = model.policy.cache_minimum_tokens;
  const bool all_short = std::ranges::all_of(
      call.prompts, [minimum](const auto& prompt) { return prompt.size() < minimum; });
  if (all_short) call.parameters.cache = CacheUse::kNone;
  for (std::vector<Breakpoint>& breakpoints : call.breakpoints) {
    std::erase_if(breakpoints,
                  [minimum](const Breakpoint& breakpoint) { return breakpoint.tokens < minimum; });
  }
  return {};
}

Result<Call> ReadCall(Endpoint endpoint, std::string_view body, const Caller& caller,
                      const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  Call call;
  call.endpoint = endpoint;
  call.tenant = caller.tenant;
  call.parameters.sampling.seed = caller.seed;
  FieldReader fields(*object, "");
  call.model_name = ReadModelName(fields, model);
  MarkerRules rules(model.policy);
  const OpenAiCaching caching = ReadOpenAiCaching(fields, model.policy, rules);
  if (endpoint == Endpoint::kChat) {
    call.parameters.max_tokens = model.default_max_tokens;
    ReadParameters(fields, model.vocabulary, call.parameters);
    ReadChatLogprobs(fields, call.parameters);
    if (fields.ok()) fields.Adopt(ReadChatPrompt(*object, caching, model, rules, call));
  } else {
    call.parameters.max_tokens = kTextMaxTokens;
    ReadParameters(fields, model.vocabulary, call.parameters);
    ReadTextLogprobs(fields, call.parameters);
    RefuseUnsupportedText(fields, call.parameters);
    if (fields.ok()) ReadTextPrompts(fields, model, call);
  }
  fields.Adopt(rules.status());
  ApplyCaching(caching, model, call);
  if (fields.ok()) fields.Adopt(CheckPrompts(call, model));
  if (!fields.ok()) return std::unexpected(fields.status().error());
  call.warning = rules.warning();
  return call;
}

std::string CacheScope(const Call& call) { return ScopeOf(call.tenant, call.cache_key); }

GenerationRequest RequestOfChoice(const Call& call, size_t choice) {
  const size_t per_prompt = static_cast<size_t>(call.parameters.choices);
  GenerationRequest request;
  request.scope = CacheScope(call);
  request.prompt = call.prompts[choice / per_prompt];
  request.breakpoints = call.breakpoints[choice / per_prompt];
  request.max_tokens = call.parameters.max_tokens;
  request.sampling = call.parameters.sampling;
  request.sampling.seed += choice % per_prompt;
  request.stop = call.parameters.stop;
  request.top_logprobs = call.parameters.top_logprobs;
  request.ignore_eos = call.parameters.ignore_eos;
  request.cache = call.parameters.cache;
  return request;
}

}  // namespace reprise
