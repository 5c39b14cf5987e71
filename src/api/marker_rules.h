#pragma once

// What vendors allow of their cache markers, and what we do about the rest: under --strict-api the
// first breach is a 400 in the vendor's words, else the marker is ignored and a warning remembered.
// Used while one call is read; not thread-safe.

#include <boost/json.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/api_policy.h"
#include "api/cache_mark.h"
#include "base/clock.h"
#include "base/error.h"

namespace reprise {

// A number and a unit of s, m, h or d: "90s", "30m", "12h". nullopt for anything else, 0 included.
std::optional<Duration> ParseTtl(std::string_view text);
// The shortest writing that ParseTtl reads back.
std::string TtlText(Duration ttl);

class MarkerRules {
 public:
  explicit MarkerRules(const ApiPolicy& policy) : policy_(policy) {}

  // The lifetime that Anthropic's block.cache_control asks for; nullopt when there is none or it is
  // ignored. `path` names the block.
  std::optional<Duration> CacheControl(const boost::json::object& block, std::string_view path);
  // The same of OpenAI's part.prompt_cache_breakpoint; `inherited` is the request's ttl.
  std::optional<Duration> Breakpoint(const boost::json::object& part, std::string_view path,
                                     std::optional<Duration> inherited);
  // A ttl in `object`; `vendor` lists what the vendor takes. nullopt when absent or ignored.
  std::optional<Duration> Ttl(const boost::json::object& object, std::string_view path,
                              std::initializer_list<std::string_view> vendor);

  // A breach: "path: what".
  void Breach(std::string_view path, std::string_view what);

  // Anthropic: four marks at most, none with a longer ttl than one before it. `marks` are the first
  // four of `found`, `paths` names each.
  std::vector<CacheMark> SettleAnthropic(const std::vector<CacheMark>& marks,
                                         const std::vector<std::string>& paths, size_t found);
  // OpenAI: the latest `places` are written; more are no error.
  static std::vector<CacheMark> SettleOpenAi(std::vector<CacheMark> marks, size_t places);

  const Status& status() const { return status_; }
  // For x-reprise-cache-warning; empty when there is nothing to say.
  std::string warning() const;

 private:
  const ApiPolicy& policy_;
  Status status_;
  std::vector<std::string> warnings_;  // the first few
  size_t breaches_ = 0;
};

inline constexpr size_t kMaxMarks = 4;  // of one request, with both vendors

}  // namespace reprise
