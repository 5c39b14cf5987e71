// libFuzzer over a client's JSON body: whatever the bytes, an Error with a sentence, or requests
// that the engine may take without looking again.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "fixtures/test_model.h"
#include "prompt/continued_prompt.h"
#include "text/detokenizer.h"
#include "vendor/anthropic/endpoints.h"
#include "vendor/marker_rules.h"
#include "vendor/openai/endpoints.h"
#include "vendor/responses/endpoints.h"

namespace {

void Require(bool condition) {
  if (!condition) abort();
}

const reprise::ServedModel& Model() {
  static const reprise::ServedModel model = reprise::TestModel();
  return model;
}

void CheckRequest(const reprise::GenerationRequest& request) {
  const auto in_vocabulary = [](reprise::TokenId token) {
    return token >= 0 && token < Model().vocabulary;
  };
  Require(!request.prompt.empty());
  Require(request.prompt.size() <= static_cast<size_t>(Model().max_sequence_tokens));
  Require(std::ranges::all_of(request.prompt, in_vocabulary));
  Require(!request.max_tokens || *request.max_tokens >= 0);
  const reprise::SamplingParameters& sampling = request.sampling;
  Require(sampling.temperature >= 0 && sampling.temperature <= 2);
  Require(sampling.top_p >= 0 && sampling.top_p <= 1 && sampling.top_k >= 0);
  Require(sampling.min_p >= 0 && sampling.min_p <= 1);
  Require(sampling.repetition_penalty > 0);
  for (const auto& [token, bias] : sampling.logit_bias) {
    Require(in_vocabulary(token) && bias >= -100 && bias <= 100);
  }
  Require(request.stop.size() <= reprise::limits::kMaxStopStrings);
  Require(std::ranges::none_of(request.stop, [](const auto& stop) { return stop.empty(); }));
  size_t kept = 0;  // breakpoints ascend
  for (const reprise::Breakpoint& breakpoint : request.breakpoints) {
    Require(breakpoint.tokens > kept && breakpoint.tokens <= request.prompt.size());
    Require(breakpoint.ttl > reprise::Duration::zero());
    Require(breakpoint.ttl <= Model().policy.ttl_max);
    kept = breakpoint.tokens;
  }
  Require(request.breakpoints.size() <= reprise::kMaxMarks);
  Require(request.top_logprobs >= -1 && request.top_logprobs <= reprise::limits::kMaxTopLogprobs);
}

}  // namespace

// Whatever a client writes, only the template opens turns: one a message, and the reply's.
void CheckTurns(const reprise::Call& call) {
  const auto& variables = call.template_variables;
  const size_t turns = variables.at("messages").as_array().size() +
                       (variables.at("add_generation_prompt").as_bool() ? 1 : 0);
  const reprise::TokenId opening = *Model().tokenizer->vocabulary().bos;
  Require(static_cast<size_t>(std::ranges::count(call.prompts.front(), opening)) == turns);
}

// The first byte chooses the endpoint; the rest is the body.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr std::array kEndpoints = {&reprise::kChatCompletions, &reprise::kTextCompletions,
                                     &reprise::kMessages, &reprise::kResponses};
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const reprise::Result<reprise::Call> call =
      kEndpoints[data[0] % kEndpoints.size()]->read(body, {.seed = 1}, Model());
  if (!call) {
    Require(!call.error().message.empty());
    for (const reprise::WireForm& form : {reprise::kOpenAi, reprise::kAnthropic}) {
      Require(reprise::IsValidUtf8(form.error(call.error(), "").body));
    }
    return 0;
  }
  Require(call->choices() >= 1 && call->choices() <= reprise::limits::kMaxChoices);
  for (size_t i = 0; i < call->choices(); ++i)
    CheckRequest(reprise::RequestOfChoice(*call, i, Model()));
  // Of a header: printable ASCII, not long.
  Require(call->warning.size() < 2048);
  Require(std::ranges::all_of(call->warning, [](char c) { return c >= ' ' && c <= '~'; }));
  if (call->is_conversation()) {
    CheckTurns(*call);
    const boost::json::object reply = {{"role", "assistant"}, {"content", "a reply <|im_end|>"}};
    reprise::ContinuedPrompt(call->template_variables, reply, Model(), "");
  }
  return 0;
}
