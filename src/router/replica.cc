#include "router/replica.h"

#include <fmt/format.h>

#include <charconv>

#include "base/ascii.h"

namespace reprise {

std::string ReplicaAddress::Name() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<ReplicaAddress> ParseReplicaAddress(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("--replica {}: {}; such as http://10.0.0.7:8080", text, why));
  };
  std::string_view rest = text;
  constexpr std::string_view kScheme = "http://";
  if (EqualsIgnoringCase(rest.substr(0, kScheme.size()), kScheme)) {
    rest.remove_prefix(kScheme.size());
  } else if (rest.find("://") != std::string_view::npos) {
    return refuse("replicas speak plain HTTP");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@ ") != std::string_view::npos)
    return refuse("only a host and a port");
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return refuse("the port is missing");
  ReplicaAddress address;
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  address.host = Lowercase(host);
  const std::string_view port = rest.substr(colon + 1);
  const auto [at, failure] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (failure != std::errc() || at != port.data() + port.size() || address.port == 0) {
    return refuse("that is no port");
  }
  if (address.host.empty()) return refuse("the host is missing");
  return address;
}

}  // namespace reprise
