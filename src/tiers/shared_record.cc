#include "tiers/shared_record.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace reprise {
namespace {

constexpr std::array<char, 8> kSharedMagic = {'R', 'P', 'R', 'S', 'H', 'R', '0', '1'};

struct SharedHead {
  std::array<char, 8> magic;
  Sha256 code;
  BlockKey key;
  uint64_t payload_bytes;
  uint64_t token_count;
};
static_assert(sizeof(SharedHead) == 88);
constexpr size_t kCoded = offsetof(SharedHead, key);  // from here on the code covers it

}  // namespace

size_t SharedRecords::Bytes(size_t tokens, size_t payload_bytes) {
  return sizeof(SharedHead) + tokens * sizeof(TokenId) + payload_bytes;
}

std::string SharedRecords::Name(const BlockKey& key) const {
  const Sha256 name = secret_.empty() ? key : HmacSha256(secret_, key.bytes);
  return std::string(kSharedPrefix) + name.Hex();
}

Sha256 SharedRecords::Code(std::span<const std::byte> rest) const {
  if (!secret_.empty()) return HmacSha256(secret_, rest);
  Sha256 code;
  const uint64_t checksum = XXH3_64bits(rest.data(), rest.size());
  std::memcpy(code.bytes.data(), &checksum, sizeof checksum);
  return code;
}

std::string SharedRecords::Seal(const BlockKey& key, std::span<const TokenId> tokens,
                                std::span<const std::byte> payload) const {
  SharedHead head = {kSharedMagic, {}, key, payload.size(), tokens.size()};
  std::string record(Bytes(tokens.size(), payload.size()), '\0');
  char* rest = record.data() + sizeof head;
  std::memcpy(record.data(), &head, sizeof head);
  std::memcpy(rest, tokens.data(), tokens.size_bytes());
  std::memcpy(rest + tokens.size_bytes(), payload.data(), payload.size());
  head.code = Code(std::as_bytes(std::span(record)).subspan(kCoded));
  std::memcpy(record.data(), &head, kCoded);
  return record;
}

Status SharedRecords::Open(const BlockKey& key, std::span<const TokenId> tokens,
                           std::string_view record, std::span<std::byte> payload) const {
  const auto wrong = [&](const char* what) {
    return Fail(ErrorCode::kCorrupt, fmt::format("the record {} {}", Name(key), what));
  };
  SharedHead head;
  if (record.size() != Bytes(tokens.size(), payload.size())) return wrong("has another size");
  std::memcpy(&head, record.data(), sizeof head);
  if (head.magic != kSharedMagic) return wrong("is no record");
  const Sha256 code = Code(std::as_bytes(std::span(record)).subspan(kCoded));
  if (!SameInConstantTime(code, head.code)) {
    return wrong(secret_.empty() ? "does not have its checksum" : "was not made with the secret");
  }
  if (head.key != key) return wrong("is another block");
  const char* rest = record.data() + sizeof head;
  if (head.token_count != tokens.size() || head.payload_bytes != payload.size() ||
      std::memcmp(rest, tokens.data(), tokens.size_bytes()) != 0) {
    return wrong("has other tokens");
  }
  std::memcpy(payload.data(), rest + tokens.size_bytes(), payload.size());
  return {};
}

}  // namespace reprise
