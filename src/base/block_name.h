#pragma once

// The short name by which a block is told to others: the first eight bytes of its key
// (tiers/block_key.h), the lowest first. Blocks are named alike when all tokens up to their end,
// the scope and the model are the same; others only as often as random numbers of 64 bits are
// equal, and then a request is sent somewhere in vain: no bit of a reply depends on a name.

#include <cstdint>

namespace reprise {

using BlockName = uint64_t;

}  // namespace reprise
