#pragma once

// What one tenant holds of the cache, over all its scopes. Plain values; the cache counts them as
// they change and drops them with the tenant's last scope.

#include <array>
#include <cstddef>
#include <string>

namespace reprise {

struct TenantSizes {
  std::string tenant = {};
  size_t scopes = 0;
  size_t cached_blocks = 0;
  size_t cached_tokens = 0;    // that Match can find
  size_t pinned_blocks = 0;    // of the cached ones, those held for a promise
  size_t reserved_blocks = 0;  // that promises of running requests will hold beyond these
  std::array<size_t, 3> promises_by_class = {};  // of at most 5 minutes, of at most 1 hour, of more
  // Of models with recurrent states.
  size_t snapshots = 0;           // behind its prefixes
  size_t reserved_snapshots = 0;  // that promises of running requests will hold

  bool operator==(const TenantSizes&) const = default;
};

}  // namespace reprise
