#pragma once

// A scope says who shares cached prefixes: only requests of one scope find one another's. It names
// a tenant and, within it, a cache key; what a tenant may hold is counted over all its
// cache keys. Opaque text everywhere but here. Pure functions; any thread.

#include <string>
#include <string_view>

namespace reprise {

// Different for different pairs, whatever bytes they hold. Without a cache key and NUL bytes it is
// the tenant.
std::string ScopeOf(std::string_view tenant, std::string_view cache_key);
std::string TenantOf(std::string_view scope);
std::string CacheKeyOf(std::string_view scope);

}  // namespace reprise
