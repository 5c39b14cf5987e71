#pragma once

// One HTTP request by libcurl, its reply handed on as it comes. Follows no redirect: who may see
// the token is decided by whoever follows them (hub_client.h). An https URL is checked against the
// system's certificates; proxies are those of the environment (https_proxy, no_proxy).
//
// One thread at a time; the connection is kept for the next request.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace reprise {

struct HubReply {
  int status = 0;                              // 0: no reply came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string location;                        // of a redirect, as an absolute URL; else empty
  // What went wrong on the way, for a person; empty: the reply came whole. Trying again may help.
  std::string fault;

  std::string_view Header(std::string_view name) const;  // empty where it is absent
  bool is_redirect() const { return status >= 300 && status < 400 && !location.empty(); }
};

// Scheme, host and port: what has to be the same for the token to be sent. Empty for what is no
// URL.
std::string OriginOf(const std::string& url);

class Transfer {
 public:
  struct Request {
    std::string url;
    std::string token;  // empty: none is sent
    uint64_t from = 0;  // above 0: only the bytes from there on are asked for
    bool head = false;
  };
  // Takes the body of any reply, as it comes. An Error ends the transfer.
  using Sink = std::function<Status(const HubReply&, std::span<const std::byte>)>;

  // `stopped` is asked at least once a second, on the caller's thread.
  Transfer(int stall_seconds, std::function<bool()> stopped);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Error: the sink's, or kCancelled. Whatever the network does is in HubReply::fault.
  Result<HubReply> Run(const Request& request, const Sink& sink);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
  int stall_seconds_;
  std::function<bool()> stopped_;
};

}  // namespace reprise
