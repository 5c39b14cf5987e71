#pragma once

// Who is told which full blocks a PrefixCache holds, as that changes: those that Match can find.
// Partial leaves are not told; one that grows full is. A block is told again only after it went.
//
// Called on the engine thread in the midst of a change, so it must not call the cache.

#include <optional>
#include <span>
#include <string_view>

#include "base/ids.h"

namespace reprise {

class BlockListener {
 public:
  virtual ~BlockListener() = default;

  // `block` holds `tokens`, all that fit, and is found behind `parent`, which was told before;
  // none: it begins the prompts of `scope`.
  virtual void OnStored(std::string_view scope, std::optional<BlockId> parent, BlockId block,
                        std::span<const TokenId> tokens) = 0;
  // It is not found any more. All that were behind it went before.
  virtual void OnRemoved(BlockId block) = 0;
};

}  // namespace reprise
