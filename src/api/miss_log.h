#pragma once

// Why no more of a prompt was read, noted in the history when it was looked up; and one line of the
// log for a request that computes much which an earlier one of its tenant had in common with it:
// how much, and why it was not read. I/O thread only.

#include <cstddef>
#include <cstdint>

#include "api/service.h"

namespace reprise {

// The prompt of that request has been looked up. The log is silent where fewer than
// limits::kMissLogTokens are to be computed.
void NoteReason(Service& service, uint64_t request, size_t prompt);

}  // namespace reprise
