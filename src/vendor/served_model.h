#pragma once

// What reading a call needs of the model that is served: names, texts and bounds. Immutable after
// start; any thread.

#include <optional>
#include <string>

#include "prompt/prompt_model.h"
#include "vendor/api_policy.h"

namespace reprise {

struct ServedModel : PromptModel {
  std::string name;
  bool strict_model = false;  // another name in `model` is a 404
  std::optional<int> default_max_tokens;
  ApiPolicy policy;
  int vocabulary = 0;
};

}  // namespace reprise
