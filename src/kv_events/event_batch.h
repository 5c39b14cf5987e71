#pragma once

// Blocks that came and went, as the MessagePack that vLLM publishes (vllm/distributed/kv_events.py,
// msgspec's encoding with `tag=True`):
//
//   batch             [ts, [event, …], data_parallel_rank]
//   BlockStored       block_hashes, parent_block_hash, token_ids, block_size, lora_id, medium,
//                     lora_name
//   BlockRemoved      block_hashes, medium
//   AllBlocksCleared
//
// Since vLLM 0.24 an event is a map, of which "type" says the name; before, an array without names
// of fields, of which the first element is the event's. llm-d's router reads both
// (pkg/kvevents/engineadapter), and so does NVIDIA Dynamo's (lib/kv-router/src/zmq_wire).
//
// Hashes are blocks' names, always as nine bytes: a reader in Go tells integers apart by how long
// they were written. There are no adapters (both lora fields are nil), and one rank, 0. `medium` is
// nil, which readers take for where the model computes.
//
// Values and pure functions; any thread.

#include <cstddef>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/block_name.h"
#include "tiers/block_changes.h"

namespace reprise {

struct RemovedBlocks {
  std::vector<BlockName> blocks = {};

  bool operator==(const RemovedBlocks&) const = default;
};

struct ClearedBlocks {
  bool operator==(const ClearedBlocks&) const = default;
};

enum class EventEncoding { kMap, kArray };

// A run: its blocks were stored, with their tokens.
using KvEvent = std::variant<BlockRun, RemovedBlocks, ClearedBlocks>;

// `seconds`: since 1970.
std::string EncodeBatch(double seconds, std::span<const KvEvent> events, size_t block_tokens,
                        EventEncoding encoding);

}  // namespace reprise
