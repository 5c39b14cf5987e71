#pragma once

// Reads traces that others have published:
//
//   Mooncake's (FAST'25), a file of lines {"timestamp": ms, "input_length", "output_length",
//     "hash_ids": [one for each 512 tokens]}. It knows no sessions; a request is taken to go on
//     with the one whose last whole block it contains.
//   kv-cache-tester's agent sessions, a folder of JSON files (or one of them), each a session:
//     {"block_size": 64, "requests": [{"t": s, "in", "out", "hash_ids", "api_time"}]}, numbers
//     local to the file. When sessions begin is not recorded: they are spread over time at random.

#include <cstdint>
#include <string>

#include "base/error.h"
#include "simulation/trace.h"

namespace reprise {

struct TraceQuery {
  std::string path;  // a .jsonl file, a .json file, or a folder of .json files
  size_t repeat =
      1;  // so many times the sessions, each time with blocks of their own; of agents only
  size_t requests = 0;  // the first ones only; 0: all
  uint64_t seed = 1;    // of when sessions begin
};

Result<Trace> ReadTrace(const TraceQuery& query);

}  // namespace reprise
