#include "http/web_origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <string_view>

#include "base/ascii.h"

namespace reprise {
namespace {

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::any_of(
      names, [name](const std::string& each) { return EqualsIgnoringCase(each, name); });
}

// "name:port" without the port, and an IPv6 address without its brackets.
std::string_view NameOf(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool IsOfThisMachine(std::string_view name) {
  boost::system::error_code failure;
  boost::asio::ip::make_address(name, failure);
  return !failure || EqualsIgnoringCase(name, "localhost") ||
         (name.size() > 10 && EqualsIgnoringCase(name.substr(name.size() - 10), ".localhost"));
}

// Whether the page came from this server.
bool IsOwn(std::string_view origin, std::string_view host) {
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && EqualsIgnoringCase(origin.substr(scheme + 3), host);
}

}  // namespace

bool IsLoopbackAddress(const std::string& host) {
  boost::system::error_code failure;
  const boost::asio::ip::address address = boost::asio::ip::make_address(host, failure);
  return !failure && address.is_loopback();
}

Status CheckOrigin(const HttpRequest& head, const OriginPolicy& policy) {
  const std::string_view name = NameOf(head.host);
  const bool any_host = !policy.loopback && policy.hosts.empty();
  if (!any_host && !name.empty() && !IsOfThisMachine(name) && !Contains(policy.hosts, name)) {
    return Fail(
        ErrorCode::kForeignOrigin,
        fmt::format("This server is not reached as {}; start it with --allow-host {} if it is "
                    "meant to be.",
                    name, name));
  }
  if (!head.origin || IsOwn(*head.origin, head.host) || Contains(policy.origins, "*") ||
      Contains(policy.origins, *head.origin)) {
    return {};
  }
  return Fail(
      ErrorCode::kForeignOrigin,
      fmt::format("Web pages of {} may not use this server; start it with --allow-origin {} if "
                  "they may.",
                  *head.origin, *head.origin));
}

std::vector<std::pair<std::string, std::string>> CorsHeaders(const HttpRequest& request) {
  const bool foreign = request.refusal && request.refusal->code == ErrorCode::kForeignOrigin;
  if (!request.origin || foreign) return {};
  std::vector<std::pair<std::string, std::string>> headers = {
      {"Access-Control-Allow-Origin", *request.origin},
      {"Vary", "Origin"},
      {"Access-Control-Expose-Headers",
       "x-request-id, request-id, retry-after, x-reprise-cache, x-reprise-cache-warning"}};
  if (request.preflight) {
    headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, DELETE");
    if (!request.preflight_headers.empty()) {
      headers.emplace_back("Access-Control-Allow-Headers", request.preflight_headers);
    }
    headers.emplace_back("Access-Control-Max-Age", "600");
  }
  return headers;
}

}  // namespace reprise
