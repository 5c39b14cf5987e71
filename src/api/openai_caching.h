#pragma once

// OpenAI's request-level cache fields: prompt_cache_options {mode, ttl}, prompt_cache_retention
// and prompt_cache_key. Marks within the messages are read with them (prompt.h). Values; any
// thread.

#include <boost/json.hpp>
#include <optional>
#include <string>

#include "api/json_reader.h"
#include "api/marker_rules.h"

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

}  // namespace reprise
