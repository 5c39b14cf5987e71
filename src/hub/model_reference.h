#pragma once

// A model's name on the hub, as users write it: hf:ORG/REPO[@REVISION][:FILE-or-QUANT].
// Values; any thread.

#include <string>
#include <string_view>

#include "base/error.h"

namespace reprise {

struct ModelReference {
  std::string repo;               // ORG/REPO
  std::string revision = "main";  // a branch, a tag or a commit
  std::string selector;           // a file's name or a part of it, such as Q4_K_M; empty: none

  std::string Text() const;  // as it is written, without what is left to default
};

// Whether a model is named so rather than by its path.
bool IsModelReference(std::string_view text);

// kInvalidArgument, with the form, for anything that cannot be a name on the hub. What passes is
// safe in paths and, escaped, in URLs: no "..", no empty component, no control character.
Result<ModelReference> ParseModelReference(std::string_view text);

// Whether a path that somebody else named stays below a folder that it is put into: relative,
// no empty component, none that begins with a dot, and neither backslashes nor control characters.
bool IsSafePath(std::string_view path);

}  // namespace reprise
