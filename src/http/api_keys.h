#pragma once

// The keys by which clients say who they are, from a file of the operator's:
//
//   # KEY ORGANISATION/WORKSPACE [admin]
//   sk-live-0123456789   acme/production
//   sk-ops-9876543210    acme/operations   admin
//
// One key a line, parts set apart by spaces or tabs; what follows a '#' at the beginning of a part
// is a comment, and empty lines are skipped. All parts are printable ASCII. Several keys may belong
// to one tenant. No error, and nothing else here, ever repeats what a file holds: a key may stand
// where it should not. Immutable after reading; any thread.

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "http/identity.h"

namespace reprise {

class ApiKeys {
 public:
  // kInvalidArgument, as "FILE:LINE: what is wrong"; a text without a key is wrong too.
  static Result<ApiKeys> Parse(std::string_view text, std::string_view file);
  // Reads and parses; warns once in the log when every user of the machine may read the file.
  // Besides kNotFound, kIo, and kTooLarge over limits::kMaxApiKeyFileBytes.
  static Result<ApiKeys> Read(const std::string& file);

  // Whose key it is. Compares every byte with every key: how long that takes says nothing of them.
  std::optional<Identity> Find(std::string_view key) const;

  size_t size() const { return entries_.size(); }

 private:
  using Bytes = std::array<char, limits::kMaxApiKeyBytes>;  // filled up with zeros
  struct Entry {
    Bytes key = {};
    Identity identity;
    size_t line = 0;
  };
  static Bytes Padded(std::string_view key);

  const Entry* FindEntry(std::string_view key) const;

  std::vector<Entry> entries_;
};

}  // namespace reprise
