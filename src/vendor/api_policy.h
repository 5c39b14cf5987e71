#pragma once

// What the operator decided about how clients are read and what they may ask of the cache. Values.

#include <chrono>
#include <cstddef>

#include "base/clock.h"

namespace reprise {

struct ApiPolicy {
  // A cache marker that its vendor would refuse is a 400 in the vendor's words; else it is ignored
  // and x-reprise-cache-warning says so.
  bool strict_api = false;
  Duration ttl_max = std::chrono::hours(24);  // longest lifetime that a marker may ask for
  size_t cache_minimum_tokens = 0;            // shorter prompts are not cached, shorter marks void
  bool cache_key_isolates = false;            // prompt_cache_key is part of the cache's scope
  bool drop_billing_line = true;              // see billing_line.h
  size_t history = 100;  // requests of a tenant that are remembered, to explain misses; 0: none
};

}  // namespace reprise
