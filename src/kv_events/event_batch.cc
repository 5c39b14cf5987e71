#include "kv_events/event_batch.h"

#include <bit>
#include <concepts>
#include <cstdint>
#include <string_view>

namespace reprise {
namespace {

// MessagePack (github.com/msgpack/msgpack, spec.md), as much of it as is written here. By hand,
// because a library would have a tree of the tokens built first, and writes an integer as short as
// it can.
class MessagePack {
 public:
  void Nil() { Byte(0xc0); }
  void Array(size_t size) {
    if (size < 16) {
      Byte(0x90 | size);
    } else if (size <= UINT16_MAX) {
      Byte(0xdc);
      Number(static_cast<uint16_t>(size));
    } else {
      Byte(0xdd);
      Number(static_cast<uint32_t>(size));
    }
  }
  // REQUIRES: fewer than 16 entries
  void Map(size_t size) { Byte(0x80 | size); }
  // REQUIRES: fewer than 32 bytes
  void Text(std::string_view text) {
    Byte(0xa0 | text.size());
    bytes_ += text;
  }
  void Unsigned(uint32_t value) {
    if (value < 128) {
      Byte(value);
    } else if (value <= UINT8_MAX) {
      Byte(0xcc);
      Byte(value);
    } else if (value <= UINT16_MAX) {
      Byte(0xcd);
      Number(static_cast<uint16_t>(value));
    } else {
      Byte(0xce);
      Number(value);
    }
  }
  void Name(BlockName name) {
    Byte(0xcf);
    Number(name);
  }
  void Double(double value) {
    Byte(0xcb);
    Number(std::bit_cast<uint64_t>(value));
  }

  void Names(std::span<const BlockName> names) {
    Array(names.size());
    for (const BlockName name : names) Name(name);
  }

  std::string Take() { return std::move(bytes_); }

 private:
  void Byte(size_t byte) { bytes_ += static_cast<char>(byte); }
  // The highest byte first.
  template <std::unsigned_integral Integer>
  void Number(Integer value) {
    for (size_t bit = 8 * sizeof(value); bit > 0; bit -= 8) Byte((value >> (bit - 8)) & 0xff);
  }

  std::string bytes_;
};

class EventWriter {
 public:
  EventWriter(MessagePack& out, size_t block_tokens, EventEncoding encoding)
      : out_(out), block_tokens_(block_tokens), named_(encoding == EventEncoding::kMap) {}

  void operator()(const BlockRun& stored) {
    Begin("BlockStored", 7);
    Field("block_hashes").Names(stored.blocks);
    Field("parent_block_hash");
    if (stored.parent) {
      out_.Name(*stored.parent);
    } else {
      out_.Nil();
    }
    Field("token_ids").Array(stored.tokens.size());
    for (const TokenId token : stored.tokens) out_.Unsigned(static_cast<uint32_t>(token));
    Field("block_size").Unsigned(static_cast<uint32_t>(block_tokens_));
    Field("lora_id").Nil();
    Field("medium").Nil();
    Field("lora_name").Nil();
  }
  void operator()(const RemovedBlocks& removed) {
    Begin("BlockRemoved", 2);
    Field("block_hashes").Names(removed.blocks);
    Field("medium").Nil();
  }
  void operator()(const ClearedBlocks& /*cleared*/) { Begin("AllBlocksCleared", 0); }

 private:
  void Begin(std::string_view event, size_t fields) {
    if (named_) {
      out_.Map(fields + 1);
    } else {
      out_.Array(fields + 1);
    }
    Field("type").Text(event);
  }
  // What is written next is this field's.
  MessagePack& Field(std::string_view name) {
    if (named_) out_.Text(name);
    return out_;
  }

  MessagePack& out_;
  const size_t block_tokens_;
  const bool named_;
};

}  // namespace

std::string EncodeBatch(double seconds, std::span<const KvEvent> events, size_t block_tokens,
                        EventEncoding encoding) {
  MessagePack out;
  out.Array(3);
  out.Double(seconds);
  out.Array(events.size());
  for (const KvEvent& event : events) std::visit(EventWriter(out, block_tokens, encoding), event);
  out.Unsigned(0);  // data_parallel_rank
  return out.Take();
}

}  // namespace reprise
