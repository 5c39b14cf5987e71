#include "router/passed_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace reprise {
namespace {

// Between two hops only (RFC 9110, 7.6.1), or said anew by who sends the message on.
constexpr std::array<std::string_view, 9> kHopFields = {
    "connection",        "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",    "content-length"};
// Of a request besides.
constexpr std::array<std::string_view, 5> kOwnFields = {"host", "expect", "proxy-authorization",
                                                        "x-reprise-replica", "origin"};

template <size_t count>
bool IsOneOf(const std::array<std::string_view, count>& names, std::string_view name) {
  return std::ranges::any_of(
      names, [name](std::string_view each) { return EqualsIgnoringCase(each, name); });
}

// Whether the values of Connection name it.
bool IsNamedByConnection(const HttpFields& fields, std::string_view name) {
  for (const auto& [each, value] : fields) {
    if (!EqualsIgnoringCase(each, "connection")) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const size_t comma = rest.find(',');
      if (EqualsIgnoringCase(Trimmed(rest.substr(0, comma)), name)) return true;
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return false;
}

}  // namespace

bool IsPassedOn(const HttpFields& fields, std::string_view name) {
  return !IsOneOf(kHopFields, name) && !IsNamedByConnection(fields, name);
}

bool IsPassedBack(const HttpFields& fields, std::string_view name) {
  constexpr std::string_view kCors = "access-control-";
  return IsPassedOn(fields, name) && !EqualsIgnoringCase(name.substr(0, kCors.size()), kCors);
}

std::string PassedRequest(const HttpRequest& request, const Replica& replica, bool uncompressed) {
  std::string head = fmt::format("{} {}", request.method, request.path);
  if (!request.query.empty()) head += fmt::format("?{}", request.query);
  head += fmt::format(" HTTP/1.1\r\nHost: {}\r\n", replica.name);
  for (const auto& [name, value] : request.fields) {
    const bool compresses = uncompressed && EqualsIgnoringCase(name, "accept-encoding");
    if (IsPassedOn(request.fields, name) && !IsOneOf(kOwnFields, name) && !compresses) {
      head += fmt::format("{}: {}\r\n", name, value);
    }
  }
  const bool has_body = !request.body.empty() || request.method == "POST";
  if (has_body) head += fmt::format("Content-Length: {}\r\n", request.body.size());
  return head + "\r\n";
}

}  // namespace reprise
