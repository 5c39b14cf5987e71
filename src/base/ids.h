#pragma once

// Strong ids: an index of one kind cannot be passed where another is meant. Values; any thread.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace reprise {

template <typename Tag, typename Integer>
struct Id {
  Integer value = 0;
  friend constexpr auto operator<=>(Id, Id) = default;
};

using BlockId = Id<struct BlockTag, uint32_t>;        // index into the arena of K and V blocks
using SequenceId = Id<struct SequenceTag, uint64_t>;  // one running generation; never reused

// A token is what the vocabulary counts, 0 .. vocab_size-1. A plain integer, because spans of it
// are compared, hashed and copied by the thousand and come as integers from the tokenizer.
using TokenId = int32_t;

}  // namespace reprise

template <typename Tag, typename Integer>
struct std::hash<reprise::Id<Tag, Integer>> {
  size_t operator()(reprise::Id<Tag, Integer> id) const noexcept {
    return std::hash<Integer>{}(id.value);
  }
};
