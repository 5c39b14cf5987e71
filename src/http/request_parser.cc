#include "http/request_parser.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "base/limits.h"

namespace reprise {
namespace http = boost::beast::http;
namespace {

// The smallest chunk is one byte framed by five; a client may be somewhat wordier.
constexpr size_t kFramingPerBodyByte = 8;

std::vector<std::string> ValuesOf(const http::fields& fields, std::string_view name) {
  std::vector<std::string> values;
  const auto [begin, end] = fields.equal_range(name);
  for (auto field = begin; field != end; ++field) values.emplace_back(field->value());
  return values;
}

// Splits a request's target into path and query; a proxy's absolute form also names the host.
void TakeTarget(std::string_view target, HttpRequest& request) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!EqualsIgnoringCase(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    request.host = target.substr(0, end);
    target.remove_prefix(end);
    break;
  }
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (request.path.empty()) request.path = "/";
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
}

HttpRequest ToHead(const http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.host = std::string(message[http::field::host]);
  TakeTarget(message.target(), request);
  request.content_type = std::string(message[http::field::content_type]);
  if (message.count(http::field::origin) > 0) {
    request.origin = std::string(message[http::field::origin]);
  }
  request.preflight_headers = std::string(message[http::field::access_control_request_headers]);
  request.preflight = message.method() == http::verb::options &&
                      message.count(http::field::access_control_request_method) > 0;
  request.wants_html = message[http::field::accept].find("text/html") != std::string_view::npos;
  request.of_anthropics_client = message.count("anthropic-version") > 0;
  request.keep_alive = message.keep_alive();
  request.chunks_allowed = message.version() >= 11;
  request.received = std::chrono::steady_clock::now();
  request.credentials = {ValuesOf(message, "x-api-key"), ValuesOf(message, "authorization")};
  return request;
}

}  // namespace

RequestParser::RequestParser(bool keep_fields) : keep_fields_(keep_fields) {
  parser_.header_limit(limits::kMaxHeaderBytes);
  parser_.body_limit(limits::kMaxBodyBytes);
}

void RequestParser::Refuse(ErrorCode code, std::string message) {
  error_ = Error{code, std::move(message), ""};
}

std::string_view RequestParser::path() const {
  const std::string_view target = parser_.get().target();
  return head_ ? std::string_view(head_->path) : target.substr(0, target.find('?'));
}

bool RequestParser::expects_continue() const {
  return EqualsIgnoringCase(parser_.get()[http::field::expect], "100-continue");
}

size_t RequestParser::Put(std::string_view bytes) {
  const size_t body_before = body_bytes();
  const bool in_body = head_.has_value();
  const size_t used = PutToParser(bytes);
  if (error_) return used;
  if (!head_ && parser_.is_header_done()) TakeHead();
  if (error_ || !in_body) return used;
  framing_ += used - (body_bytes() - body_before);
  if (bytes.size() - used >= limits::kMaxHeaderBytes ||
      framing_ > limits::kMaxHeaderBytes + kFramingPerBodyByte * body_bytes()) {
    Refuse(ErrorCode::kHeaderTooLarge,
           fmt::format("The chunks of the body have more than {} bytes of extensions or trailers.",
                       limits::kMaxHeaderBytes));
  }
  return used;
}

size_t RequestParser::PutToParser(std::string_view bytes) {
  // Every chunked body ends with as many, and Beast asserts that it is shown no fewer at its end.
  constexpr size_t kLastChunkBytes = 5;
  if (bytes.empty() || (head_ && parser_.chunked() && bytes.size() < kLastChunkBytes)) return 0;
  boost::system::error_code failure;
  const size_t used = parser_.put(boost::asio::buffer(bytes.data(), bytes.size()), failure);
  if (failure == http::error::body_limit) {
    if (!head_) TakeHead();
    Refuse(ErrorCode::kTooLarge,
           fmt::format("The body is larger than {} bytes.", limits::kMaxBodyBytes));
  } else if (failure == http::error::header_limit) {
    Refuse(ErrorCode::kHeaderTooLarge,
           fmt::format("The header is larger than {} bytes.", limits::kMaxHeaderBytes));
  } else if (failure && failure != http::error::need_more) {
    Refuse(ErrorCode::kInvalidArgument,
           fmt::format("This is not a valid HTTP request: {}.", failure.message()));
  }
  return used;
}

void RequestParser::TakeHead() {
  const auto& message = parser_.get();
  head_ = ToHead(message);
  if (keep_fields_) {
    for (const auto& field : message)
      head_->fields.emplace_back(field.name_string(), field.value());
  }
  parser_.eager(true);  // body and all
  const std::vector<std::string> codings = ValuesOf(message, "transfer-encoding");
  const std::vector<std::string> encodings = ValuesOf(message, "content-encoding");
  if (!codings.empty() &&
      (codings.size() > 1 || !EqualsIgnoringCase(codings.front(), "chunked") ||
       message.version() < 11 || message.count(http::field::content_length) > 0)) {
    Refuse(ErrorCode::kInvalidArgument,
           "Transfer-Encoding is chunked, in HTTP/1.1 and without a Content-Length, or left out.");
  } else if (message.count(http::field::host) != 1 && message.version() >= 11) {
    Refuse(ErrorCode::kInvalidArgument, "A request of HTTP/1.1 has one Host field.");
  } else if (!encodings.empty() && !(encodings.size() == 1 && encodings.front() == "identity")) {
    Refuse(ErrorCode::kUnsupportedMediaType,
           fmt::format("Content-Encoding {} is not supported; send the body as it is.",
                       encodings.front()));
  }
}

HttpRequest RequestParser::Take() {
  HttpRequest request = *std::move(head_);
  request.body = std::move(parser_.get().body());
  return request;
}

}  // namespace reprise
