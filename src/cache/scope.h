#pragma once

// A scope says who shares cached prefixes: only requests of one scope find one another's. It names
// a tenant and, within it, a population; what a tenant may hold is counted over all its
// populations. Opaque text everywhere but here. Pure functions; any thread.

#include <string>
#include <string_view>

namespace reprise {

// Different for different pairs, whatever bytes they hold. Without a population and NUL bytes it is
// the tenant.
std::string ScopeOf(std::string_view tenant, std::string_view population);
std::string TenantOf(std::string_view scope);

}  // namespace reprise
