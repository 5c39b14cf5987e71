#include "vendor/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cache/scope.h"
#include "dialect/thinking_budget.h"
#include "prompt/rendered_prompt.h"
#include "prompt/template_context.h"

namespace reprise {

Call BeginCall(const Caller& caller) {
  Call call;
  call.tenant = caller.tenant;
  call.parameters.sampling.seed = caller.seed;
  return call;
}

std::string ReadModelName(FieldReader& fields, const ServedModel& model) {
  const std::optional<std::string_view> name = fields.String("model");
  if (model.strict_model && name && name != model.name) {
    fields.Refuse(ErrorCode::kNotFound, "model",
                  fmt::format("The model '{}' is not served here; '{}' is.", *name, model.name));
  }
  return std::string(name.value_or(""));
}

Status AddPrompt(const Conversation& conversation, const ServedModel& model, Call& call) {
  TemplateContext context = MakeTemplateContext(conversation, model, call.tenant);
  Result<RenderedPrompt> rendered = RenderPrompt(context, model, call.tenant);
  if (!rendered) return std::unexpected(std::move(rendered).error());
  if (rendered->least_tokens > 0) call.least_tokens.push_back(rendered->least_tokens);
  if (model.policy.history > 0) {
    call.part_spans.push_back(
        LocateParts(rendered->tokens, conversation.outline.parts, *model.tokenizer));
  }
  call.fingerprint = conversation.outline.fingerprint;
  call.prompts.push_back(std::move(rendered->tokens));
  call.breakpoints.push_back(std::move(rendered->breakpoints));
  call.template_variables = std::move(context.variables);
  return {};
}

Status CheckPrompts(Call& call, const ServedModel& model, const PromptWords& words) {
  const int reserve = call.parameters.max_tokens == 0 ? 0 : 1;
  const size_t longest = static_cast<size_t>(model.max_sequence_tokens - reserve);
  const auto too_long = [&](size_t tokens) {
    return Fail(ErrorCode::kContextLengthExceeded,
                words.too_long(tokens, longest, model.max_sequence_tokens), words.field);
  };
  for (const size_t least : call.least_tokens) {
    if (least > longest) return too_long(least);
  }
  for (std::vector<TokenId>& prompt : call.prompts) {
    if (prompt.empty()) {
      const auto bos = model.tokenizer->vocabulary().bos;
      if (!bos) return Fail(ErrorCode::kInvalidArgument, "The prompt is empty.", words.field);
      prompt.push_back(*bos);
    }
    if (prompt.size() > longest) return too_long(prompt.size());
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

std::string CacheScope(const Call& call) { return ScopeOf(call.tenant, call.cache_key); }

GenerationRequest RequestOfChoice(const Call& call, size_t choice, const ServedModel& model) {
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
  request.prediction = call.prediction;
  if (call.reads_reply) request.shown_control = model.shown_control;
  if (call.grammar != nullptr) request.constraint = call.grammar->Begin();
  if (call.thinking_budget && !model.dialect.think_end.empty()) {
    request.constraint =
        std::make_shared<ThinkingBudget>(model.dialect, *model.tokenizer, call.in_thinking,
                                         *call.thinking_budget, std::move(request.constraint));
  }
  return request;
}

std::unique_ptr<ReplyReader> ReaderOfChoice(const Call& call, const ServedModel& model) {
  const bool plain = call.tools == nullptr && model.dialect.think_end.empty() &&
                     model.dialect.tools != ToolFormat::kHarmony;
  if (!call.reads_reply || plain) return nullptr;
  return std::make_unique<ReplyReader>(ReplyReader::Options{
      .dialect = model.dialect, .tools = call.tools, .in_thinking = call.in_thinking});
}

void NoteIgnored(std::string_view sentence, std::string& ignored) {
  constexpr size_t kMostBytes = 1024;
  const bool said = ignored.find(sentence) != std::string::npos;
  if (said || ignored.size() + sentence.size() > kMostBytes) return;
  if (!ignored.empty()) ignored += ", ";
  for (const char byte : sentence) ignored += byte >= ' ' && byte <= '~' ? byte : '?';
}

}  // namespace reprise
