#include "vendor/openai/caching.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace reprise {
namespace json = boost::json;
namespace {

constexpr auto kDefaultTtl = std::chrono::minutes(30);  // of a breakpoint that names none

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

std::optional<Duration> ReadBreakpoint(const json::object& part, std::string_view path,
                                       std::optional<Duration> inherited, MarkerRules& rules) {
  const json::value* breakpoint = part.if_contains("prompt_cache_breakpoint");
  if (breakpoint == nullptr || breakpoint->is_null()) return std::nullopt;
  const std::string breakpoint_path = fmt::format("{}.prompt_cache_breakpoint", path);
  const json::object* object = breakpoint->if_object();
  if (object == nullptr) {
    rules.Breach(breakpoint_path, "Input should be an object");
    return std::nullopt;
  }
  const json::value* mode = object->if_contains("mode");
  if (mode == nullptr || *mode != "explicit") {
    rules.Breach(fmt::format("{}.mode", breakpoint_path), "Input should be 'explicit'");
    return std::nullopt;
  }
  const json::value* ttl = object->if_contains("ttl");
  if (ttl == nullptr || ttl->is_null()) {
    return inherited.value_or(std::min<Duration>(kDefaultTtl, rules.policy().ttl_max));
  }
  return rules.Ttl(*object, breakpoint_path, {"30m", "12h"});
}

void KeepLatestMarks(const OpenAiCaching& caching, std::vector<CacheMark>& marks) {
  const size_t places = kMaxMarks - (caching.keep ? 1 : 0);
  if (marks.size() > places) {
    marks.erase(marks.begin(), marks.end() - static_cast<std::ptrdiff_t>(places));
  }
  if (caching.keep) marks.push_back({CacheMark::Place::kPromptEnd, 0, 0, *caching.keep});
}

void ApplyCaching(const OpenAiCaching& caching, const ServedModel& model, Call& call) {
  if (model.policy.cache_key_isolates) call.cache_key = caching.key;
  if (!call.is_conversation() && caching.keep) {
    for (const std::vector<TokenId>& prompt : call.prompts) {
      call.breakpoints.push_back({{std::max<size_t>(prompt.size(), 1), *caching.keep}});
    }
  }
  call.breakpoints.resize(call.prompts.size());
  const bool marked =
      std::ranges::any_of(call.breakpoints, [](const auto& b) { return !b.empty(); });
  if (caching.explicit_only && !marked) call.parameters.cache = CacheUse::kNone;
}

}  // namespace reprise
