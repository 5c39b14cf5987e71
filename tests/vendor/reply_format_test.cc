// What a call has used, however its replies are written.

#include "vendor/reply_format.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace reprise {
namespace {

TEST(ReplyFormatTest, UsageCountsAPromptOnceForAllItsChoices) {
  std::vector<Choice> choices(2);
  for (int i = 0; i < 2; ++i) {
    StartedEvent started;
    started.prompt_tokens = 10;
    started.cached_tokens = i == 0 ? 4 : 9;
    if (i == 0) started.breakpoints = {{7, std::chrono::minutes(5), PinDecision::kAccepted}};
    choices[static_cast<size_t>(i)].started = started;
    FinishedEvent event;
    event.completion_tokens = 3;
    choices[static_cast<size_t>(i)].finished = event;
  }
  const CallUsage usage = UsageOf(choices, 2);
  EXPECT_EQ(usage.prompt.total, 10);
  EXPECT_EQ(usage.prompt.read, 4) << "as the first choice found it";
  EXPECT_EQ(usage.prompt.write(), 3);
  EXPECT_EQ(usage.completion_tokens, 6);
}

}  // namespace
}  // namespace reprise
