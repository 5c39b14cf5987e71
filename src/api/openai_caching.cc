#include "api/openai_caching.h"

#include <algorithm>
#include <chrono>

namespace reprise {
namespace json = boost::json;
namespace {

void ReadOptions(FieldReader& fields, MarkerRules& rules, OpenAiCaching& caching) {
  const json::value* value = fields.Find("prompt_cache_options");
  if (value == nullptr) return;
  const json::object* options = value->if_object();
  if (options == nullptr) return rules.Breach("prompt_cache_options", "Input should be an object");
  if (const json::value* mode = options->if_contains("mode"); mode != nullptr && !mode->is_null()) {
    caching.explicit_only = *mode == "explicit";
    if (!caching.explicit_only && *mode != "implicit") {
      rules.Breach("prompt_cache_options.mode", "Input should be 'implicit' or 'explicit'");
    }
  }
  caching.ttl = rules.Ttl(*options, "prompt_cache_options", {"30m"});
}

}  // namespace

OpenAiCaching ReadOpenAiCaching(FieldReader& fields, const ApiPolicy& policy, MarkerRules& rules) {
  OpenAiCaching caching;
  caching.key = fields.String("prompt_cache_key").value_or("");
  ReadOptions(fields, rules, caching);
  if (!caching.explicit_only) caching.keep = caching.ttl;
  const json::value* retention = fields.Find("prompt_cache_retention");
  if (retention == nullptr) return caching;
  if (*retention == "24h") {
    const Duration day = std::min<Duration>(std::chrono::hours(24), policy.ttl_max);
    if (!caching.explicit_only) caching.keep = std::max(caching.keep.value_or(day), day);
  } else if (*retention != "in_memory") {
    rules.Breach("prompt_cache_retention", "Input should be 'in_memory' or '24h'");
  }
  return caching;
}

}  // namespace reprise
