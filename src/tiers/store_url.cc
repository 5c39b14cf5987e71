#include "tiers/store_url.h"

#include <fmt/format.h>

#include <boost/url.hpp>
#include <charconv>

namespace reprise {

std::string StoreAddress::Label() const {
  const bool brackets = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}{}", tls ? "rediss" : "redis", brackets ? "[" : "", host,
                     brackets ? "]" : "", port, database > 0 ? fmt::format("/{}", database) : "");
}

Result<StoreAddress> ParseStoreUrl(std::string_view text) {
  const auto wrong = [](const char* what) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("a shared store's URL {}; it looks like redis://HOST:6379, "
                            "rediss://USER:PASSWORD@HOST:6379/0",
                            what));
  };
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed) return wrong("cannot be read");
  const boost::urls::url_view& url = *parsed;
  StoreAddress address;
  address.tls = url.scheme() == "rediss";
  if (!address.tls && url.scheme() != "redis") return wrong("begins with redis:// or rediss://");
  address.host = url.host_address();
  if (address.host.empty()) return wrong("has no host");
  if (url.has_port() && !url.port().empty()) {
    address.port = url.port();
    if (address.port.size() > 5 ||
        !(std::stoi(address.port) > 0 && std::stoi(address.port) < 65536)) {
      return wrong("has no such port");
    }
  }
  address.user = url.user();
  address.password = url.password();
  if (!address.user.empty() && address.password.empty())
    return wrong("has a user, but no password");
  if (url.has_query() || url.has_fragment()) return wrong("ends with its database's number");
  std::string_view path = url.encoded_path();
  if (path.starts_with('/')) path.remove_prefix(1);
  if (!path.empty()) {
    const char* end = path.data() + path.size();
    const auto [stop, failure] = std::from_chars(path.data(), end, address.database);
    if (failure != std::errc() || stop != end || address.database < 0) {
      return wrong("has no number for its database");
    }
  }
  return address;
}

}  // namespace reprise
