#pragma once

// Requests of a service as they were recorded: when they came, how long they were, and which blocks
// of tokens their prompts begin with. A trace knows blocks by number alone; here a block's number
// stands for its whole prefix, so two prompts share a block exactly if they are the same up to its
// end. What a request shares with a reply before it is only known where the trace says it by
// numbers.
//
// Values; any thread.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/block_name.h"
#include "base/ids.h"

namespace reprise {

struct TraceRequest {
  // Of a session's first request: seconds since the trace began. Of a later one in a trace that
  // knows sessions: seconds since the reply before it ended; it cannot come earlier.
  double after_seconds = 0;
  double at_seconds = 0;  // when it came, as recorded
  bool follows = false;   // it waits for the request before it in the trace, of the same session
  uint32_t session = 0;
  uint32_t tokens = 0;
  uint32_t reply_tokens = 0;
  std::vector<TokenId> blocks = {};  // numbers of whole prefixes, 0 .. Trace::distinct_blocks-1
};

struct Trace {
  size_t block_tokens = 0;
  size_t distinct_blocks = 0;  // its footprint
  double seconds = 0;          // in which its requests came
  std::vector<TraceRequest> requests = {};

  size_t footprint_tokens() const { return distinct_blocks * block_tokens; }
};

// A block's name for Holdings.
inline BlockName NameOfNumber(TokenId number) {
  uint64_t x = static_cast<uint64_t>(number) + 1;
  x *= 0x9E3779B97F4A7C15u;
  x ^= x >> 29;
  x *= 0xBF58476D1CE4E5B9u;
  return x ^ (x >> 32);
}

}  // namespace reprise
