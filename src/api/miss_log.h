#pragma once

// One line of the log for a request that computes much which an earlier one of its tenant had in
// common with it: how much, and why it was not read. I/O thread only.

#include <cstddef>
#include <cstdint>

#include "api/service.h"

namespace reprise {

// The prompt of that request has been looked up. Silent where fewer than limits::kMissLogTokens are
// to be computed: then looking for the reason may cost more than they do.
void LogMiss(const Service& service, uint64_t request, size_t prompt);

}  // namespace reprise
