#include "vendor/reply_format.h"

namespace reprise {

CallUsage UsageOf(const std::vector<Choice>& choices, size_t choices_per_prompt) {
  CallUsage usage;
  for (size_t i = 0; i < choices.size(); ++i) {
    const Choice& choice = choices[i];
    if (choice.finished) {
      usage.completion_tokens += choice.finished->completion_tokens;
      usage.accepted_prediction_tokens += choice.finished->accepted_prediction_tokens;
      usage.rejected_prediction_tokens += choice.finished->rejected_prediction_tokens;
    }
    usage.thinking_tokens += choice.thinking_tokens;
    if (i % choices_per_prompt != 0) continue;
    Usage prompt;
    if (choice.started) {
      prompt = ComputeUsage(choice.started->prompt_tokens, choice.started->cached_tokens,
                            choice.started->breakpoints);
    }
    usage.prompt.total += prompt.total;
    usage.prompt.read += prompt.read;
    usage.prompt.write_short += prompt.write_short;
    usage.prompt.write_long += prompt.write_long;
  }
  return usage;
}

}  // namespace reprise
