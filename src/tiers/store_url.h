#pragma once

// Where a store that machines share is: redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or
// rediss:// for TLS, as Redis' and Valkey's own tools take it
// (https://www.iana.org/assignments/uri-schemes/prov/redis). Pure functions; any thread.

#include <string>
#include <string_view>

#include "base/error.h"

namespace reprise {

struct StoreAddress {
  std::string host;  // a name or an address, IPv6 without brackets
  std::string port = "6379";
  std::string user, password;  // empty: none
  int database = 0;
  bool tls = false;

  // Without user and password: for people, and to tell stores apart.
  std::string Label() const;
};

// kInvalidArgument: what is wrong, without the password.
Result<StoreAddress> ParseStoreUrl(std::string_view url);

}  // namespace reprise
