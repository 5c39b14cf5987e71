#pragma once

// How a client wants its reply: the fields that chat and text completions share. Nothing here is
// part of the cache's key. Values; any thread.

#include <optional>
#include <string>
#include <vector>

#include "api/json_reader.h"
#include "engine/request.h"

namespace reprise {

struct CompletionParameters {
  SamplingParameters sampling;  // seed of choice 0; choice i samples with seed + i
  bool seeded = false;          // the client gave the seed
  std::optional<int> max_tokens;
  std::vector<std::string> stop;
  int choices = 1;        // n, of each prompt
  int top_logprobs = -1;  // -1: none wanted
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
  bool ignore_eos = false;
  CacheUse cache = CacheUse::kReadAndPublish;
};

// Reads all but the log probabilities, whose fields the two endpoints spell differently, into
// `parameters`, whose max_tokens is the default. Faults stay in `fields`.
void ReadParameters(FieldReader& fields, int vocabulary, CompletionParameters& parameters);

}  // namespace reprise
