#pragma once

// Bytes from a connection to a request, within the limits: what has been taken in and not yet
// understood is at most limits::kMaxHeaderBytes, what frames a body (chunk sizes, extensions,
// trailers) is bounded by the body that it frames, and the work for each byte is constant. No
// sockets; one thread.
//
// HTTP/1.1 after RFC 9112, strict where two readers of the same bytes might differ: a
// Transfer-Encoding that is not exactly "chunked" (6.1), one in HTTP/1.0, one beside a
// Content-Length (6.3), and no Host or several (3.2) are errors, after which the connection must be
// closed.

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "http/message.h"

namespace reprise {

class RequestParser {
 public:
  // `keep_fields`: HttpRequest::fields is filled.
  explicit RequestParser(bool keep_fields = false);

  // Takes in what has come of a request and returns how many bytes it used. What it left is to be
  // shown again, with more behind it. REQUIRES: neither done() nor error().
  size_t Put(std::string_view bytes);

  // All but the body, once the header is complete, where Put stops once; else null.
  HttpRequest* head() { return head_ ? &*head_ : nullptr; }
  bool done() const { return head_ && parser_.is_done(); }
  const std::optional<Error>& error() const { return error_; }
  std::string_view path() const;  // empty until it is known
  bool expects_continue() const;
  size_t body_bytes() const { return parser_.get().body().size(); }
  // REQUIRES: head(). With what there is of the body.
  HttpRequest Take();

 private:
  size_t PutToParser(std::string_view bytes);
  void TakeHead();
  void Refuse(ErrorCode code, std::string message);

  const bool keep_fields_;
  boost::beast::http::request_parser<boost::beast::http::string_body> parser_;
  std::optional<HttpRequest> head_;
  std::optional<Error> error_;
  size_t framing_ = 0;  // bytes of the body's chunks that are not the body
};

}  // namespace reprise
