#pragma once

// What became of a prompt, in a sentence for a person, and what to change so that more is read next
// time, in another. Made of what miss_report.h and prompt_change.h found out, and of nothing else:
// a sentence names no other tenant, unless the report does, which only administrators' do. Pure;
// any thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "history/history.h"
#include "history/miss_report.h"
#include "history/prompt_change.h"

namespace reprise {

// Who took an evicted prefix's room, as far as the asker may know.
struct RoomTaker {
  enum class Who : uint8_t { kUnknown, kRequest, kAnotherTenant };
  Who who = Who::kUnknown;
  std::string request_id;  // of kRequest
};

struct ExplainedPrompt {
  const PastRequest& request;
  const PastPrompt& prompt;  // of that; looked up
  const MissReport& report;
  std::optional<PromptChange> change;  // from report.closest's prompt; none if they are equal
  RoomTaker taker;
  size_t minimum_tokens = 0;  // shorter prompts are not cached
};

struct Explanation {
  std::string what;
  std::optional<std::string> advice;  // none where nothing would have been read besides

  bool operator==(const Explanation&) const = default;
};

Explanation Explain(const ExplainedPrompt& explained);

}  // namespace reprise
