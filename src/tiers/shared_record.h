#pragma once

// How a block lies in a store that machines share, so that nobody but who has the secret can put
// there what a server would use.
//
//   name    "reprise:1:" and 64 hexadecimal digits: the block's key, or its HMAC under the secret
//   value   0  8  "RPRSHR01"
//           8 32  code: HMAC-SHA256 under the secret, or XXH3 (64 bits) without one, of the rest
//          40 32  key
//          72  8  payload's bytes
//          80  8  number of tokens
//          88     the tokens, four bytes each, then the payload
//
// The code covers the key, so a record under another's name is refused. Servers with another
// secret, or none, have other names and do not meet. Pure functions; any thread.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"
#include "tiers/block_key.h"

namespace reprise {

inline constexpr std::string_view kSharedPrefix = "reprise:1:";

class SharedRecords {
 public:
  explicit SharedRecords(std::string secret) : secret_(std::move(secret)) {}

  std::string Name(const BlockKey& key) const;
  std::string Seal(const BlockKey& key, std::span<const TokenId> tokens,
                   std::span<const std::byte> payload) const;
  // Into `payload`, whose size is known. kCorrupt: this is not that block.
  Status Open(const BlockKey& key, std::span<const TokenId> tokens, std::string_view record,
              std::span<std::byte> payload) const;
  static size_t Bytes(size_t tokens, size_t payload_bytes);

 private:
  Sha256 Code(std::span<const std::byte> rest) const;

  const std::string secret_;  // empty: none
};

}  // namespace reprise
