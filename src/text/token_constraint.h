#pragma once

// What a reply's tokens may be: the one thing that the engine knows of a grammar. Asked before each
// token and told each one. One per reply; one thread at a time.

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/ids.h"

namespace reprise {

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;

  // What comes next in any case, accepted by this; empty where there is a choice.
  virtual std::vector<TokenId> TakeForced() = 0;
  // Bit t % 32 of word t / 32: token t may come next. Valid until the next call. kUnsupported where
  // the grammar has become too complex to say.
  virtual Result<std::span<const uint32_t>> Mask() = 0;
  // REQUIRES: Mask() allows it.
  virtual Status Accept(TokenId token) = 0;
  // Nothing may follow.
  virtual bool complete() const = 0;
};

}  // namespace reprise
