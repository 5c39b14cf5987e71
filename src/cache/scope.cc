#include "cache/scope.h"

namespace reprise {
namespace {

// Between tenant and cache key. A NUL of the tenant is written as NUL and 1, so the first of these
// is always the end of the tenant.
constexpr std::string_view kEnd("\0\0", 2);
constexpr std::string_view kNul("\0\1", 2);

}  // namespace

std::string ScopeOf(std::string_view tenant, std::string_view cache_key) {
  std::string scope;
  for (const char byte : tenant) {
    if (byte == '\0') {
      scope += kNul;
    } else {
      scope += byte;
    }
  }
  if (cache_key.empty()) return scope;
  scope += kEnd;
  scope += cache_key;
  return scope;
}

std::string TenantOf(std::string_view scope) {
  const std::string_view written = scope.substr(0, scope.find(kEnd));
  std::string tenant;
  for (size_t i = 0; i < written.size(); ++i) {
    tenant += written[i];
    if (written[i] == '\0') ++i;
  }
  return tenant;
}

std::string CacheKeyOf(std::string_view scope) {
  const size_t end = scope.find(kEnd);
  return end == std::string_view::npos ? "" : std::string(scope.substr(end + kEnd.size()));
}

}  // namespace reprise
