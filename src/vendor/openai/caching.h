#pragma once

// OpenAI's cache fields: of the request prompt_cache_options {mode, ttl}, prompt_cache_retention
// and prompt_cache_key, of a text part prompt_cache_breakpoint. Values and free functions; any
// thread.

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/conversation.h"
#include "vendor/call.h"
#include "vendor/json_reader.h"
#include "vendor/marker_rules.h"

namespace reprise {

struct OpenAiCaching {
  bool explicit_only = false;   // without a mark nothing is cached
  std::optional<Duration> ttl;  // given for the whole request: also of marks that name none
  std::optional<Duration>
      keep;         // … so long the whole prompt is to be kept: one more mark, at its end
  std::string key;  // prompt_cache_key
};

// Faults that are no matter of caching stay in `fields`.
OpenAiCaching ReadOpenAiCaching(FieldReader& fields, const ApiPolicy& policy, MarkerRules& rules);

// The lifetime that part.prompt_cache_breakpoint asks for; nullopt when there is none or it is
// ignored. `path` names the part, `inherited` is the request's ttl.
std::optional<Duration> ReadBreakpoint(const boost::json::object& part, std::string_view path,
                                       std::optional<Duration> inherited, MarkerRules& rules);

// The latest marks, as many as the vendor writes (more are no error), and one at the prompt's end
// where the request asks for it.
void KeepLatestMarks(const OpenAiCaching& caching, std::vector<CacheMark>& marks);

// What concerns the cache, once the call's prompts are there.
void ApplyCaching(const OpenAiCaching& caching, const ServedModel& model, Call& call);

}  // namespace reprise
