#include "http/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <exception>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "http/as_tuple.h"

namespace reprise {
namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace {

constexpr size_t kHeaderReadBytes = 4u << 10;  // most requests without a long prompt
constexpr size_t kBodyReadBytes = 64u << 10;
constexpr size_t kWriteBytes = 64u << 10;  // each such piece has the write timeout to itself

TimePoint SecondsFromNow(int seconds) {
  return std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
}

Error ErrorOfReading(const boost::system::error_code& failure) {
  if (failure == http::error::body_limit) {
    return {ErrorCode::kTooLarge,
            fmt::format("The body is larger than {} bytes.", limits::kMaxBodyBytes), ""};
  }
  if (failure == http::error::header_limit) {
    return {ErrorCode::kHeaderTooLarge,
            fmt::format("The header is larger than {} bytes.", limits::kMaxHeaderBytes), ""};
  }
  return {ErrorCode::kInvalidArgument,
          fmt::format("This is not a valid HTTP request: {}.", failure.message()), ""};
}

std::vector<std::string> ValuesOf(const http::fields& fields, std::string_view name) {
  std::vector<std::string> values;
  const auto [begin, end] = fields.equal_range(name);
  for (auto field = begin; field != end; ++field) values.emplace_back(field->value());
  return values;
}

// All but the body.
HttpRequest ToHead(const http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string_view target = message.target();
  const size_t question = target.find('?');
  request.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) request.query = std::string(target.substr(question + 1));
  request.keep_alive = message.keep_alive();
  request.chunks_allowed = message.version() >= 11;
  request.received = std::chrono::steady_clock::now();
  request.credentials = {ValuesOf(message, "x-api-key"), ValuesOf(message, "authorization")};
  return request;
}

// Some clients end a body with an empty line more than they announced.
void SkipEmptyLines(boost::beast::flat_buffer& buffer) {
  const auto* bytes = static_cast<const char*>(buffer.data().data());
  size_t count = 0;
  while (count < buffer.size() && (bytes[count] == '\r' || bytes[count] == '\n')) ++count;
  buffer.consume(count);
}

}  // namespace

HttpConnection::HttpConnection(asio::ip::tcp::socket socket, const HttpHandlers& handlers)
    : socket_(std::move(socket)), handlers_(handlers) {
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  // So that what a slow client leaves unread waits in our bounded mailbox, not in the kernel.
  socket_.set_option(asio::socket_base::send_buffer_size(limits::kSendBufferBytes), ignored);
}

void HttpConnection::Close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<void> HttpConnection::Run() {
  try {
    for (;;) {
      Incoming incoming = co_await ReadRequest();
      if (incoming.error) {
        keep_alive_ = false;
        HttpResponse response = handlers_.refuse(*incoming.error, incoming.path);
        LogInfo("- {} {}", response.status, incoming.error->message);
        if (co_await Send(std::move(response))) co_await Linger();
        break;
      }
      if (!incoming.request) break;
      const bool still_there = co_await Serve(std::move(*incoming.request));
      if (!still_there) break;
      if (!keep_alive_) {
        co_await Linger();
        break;
      }
    }
  } catch (const std::exception& failure) {
    LogError("a connection ended with: {}", failure.what());
  }
  Close();
}

void HttpConnection::Authenticate(HttpRequest& head) const {
  Result<Identity> identity = handlers_.authenticate(head);
  head.credentials = {};
  if (identity) {
    head.identity = *std::move(identity);
  } else {
    head.refusal = std::move(identity).error();
  }
}

asio::awaitable<HttpConnection::Incoming> HttpConnection::ReadRequest() {
  http::request_parser<http::string_body> parser;
  parser.header_limit(limits::kMaxHeaderBytes);
  parser.body_limit(limits::kMaxBodyBytes);
  deadline_ = SecondsFromNow(limits::kIdleTimeoutSeconds);
  status_ = 0;
  head_only_ = false;
  bool begun = false;
  std::optional<HttpRequest> head;  // once it is complete
  for (;;) {
    if (!begun) SkipEmptyLines(inbox_);
    if (!begun && inbox_.size() > 0) {
      begun = true;
      deadline_ = SecondsFromNow(limits::kHeaderTimeoutSeconds);
    }
    size_t used = 0;
    boost::system::error_code failure;
    if (inbox_.size() > 0) {
      used = parser.put(inbox_.data(), failure);
      inbox_.consume(used);
      if (failure == http::error::need_more) failure = {};
    }
    const bool header_is_there = parser.is_header_done() || failure == http::error::body_limit;
    if (!head && header_is_there) {
      head = ToHead(parser.get());
      Authenticate(*head);
      if (head->refusal) {
        head->keep_alive = head->keep_alive && parser.is_done();
        co_return Incoming{std::move(head), std::nullopt, {}};
      }
      parser.eager(true);  // body and all
      deadline_ = SecondsFromNow(limits::kBodyTimeoutSeconds);
      const bool waits = boost::beast::iequals(parser.get()[http::field::expect], "100-continue");
      if (waits && !failure && !parser.is_done() && inbox_.size() == 0) {
        if (!co_await Write("HTTP/1.1 100 Continue\r\n\r\n")) co_return Incoming{};
        deadline_ = SecondsFromNow(limits::kBodyTimeoutSeconds);
      }
    }
    if (failure) {
      const std::string_view target = parser.get().target();  // empty until it has been read
      co_return Incoming{std::nullopt, ErrorOfReading(failure),
                         std::string(target.substr(0, target.find('?')))};
    }
    if (parser.is_done()) {
      head->body = std::move(parser.get().body());
      co_return Incoming{std::move(head), std::nullopt, {}};
    }
    if (used > 0 && inbox_.size() > 0) continue;
    if (!co_await ReadMore(head ? kBodyReadBytes : kHeaderReadBytes)) co_return Incoming{};
  }
}

asio::awaitable<bool> HttpConnection::ReadMore(size_t bytes) {
  const auto space = inbox_.prepare(bytes);
  const auto [failure, count] = co_await socket_.async_read_some(space, kAsTuple);
  inbox_.commit(count);
  co_return !failure;
}

asio::awaitable<bool> HttpConnection::Serve(HttpRequest request) {
  using asio::experimental::awaitable_operators::operator||;
  deadline_ = TimePoint::max();
  keep_alive_ = request.keep_alive;
  head_only_ = request.method == "HEAD";
  chunked_ = request.chunks_allowed;
  bool failed = false;
  const std::string path = request.path;
  // Named, because gcc 12 destroys temporaries of such an expression twice.
  asio::awaitable<void> handling = CallHandler(std::move(request), failed);
  asio::awaitable<void> watching = WatchForClose();
  const auto first = co_await (std::move(handling) || std::move(watching));
  if (first.index() == 1) co_return false;
  if (failed) {
    keep_alive_ = false;
    if (status_ != 0) co_return false;  // half an answer: only closing tells
    HttpResponse response = handlers_.refuse(
        {ErrorCode::kInternal, "The server failed to handle this request.", ""}, path);
    co_return co_await Send(std::move(response));
  }
  co_return true;
}

asio::awaitable<void> HttpConnection::CallHandler(HttpRequest request, bool& failed) {
  try {
    co_await handlers_.handle(std::move(request), *this);
  } catch (const boost::system::system_error& failure) {
    failed = true;
    // A handler whose client left is cancelled, and ends so.
    if (failure.code() != asio::error::operation_aborted) LogError("{}", failure.what());
  } catch (const std::exception& failure) {
    failed = true;
    LogError("a handler failed: {}", failure.what());
  }
}

asio::awaitable<void> HttpConnection::WatchForClose() {
  while (inbox_.size() < limits::kMaxHeaderBytes) {
    if (!co_await ReadMore(kHeaderReadBytes)) co_return;
  }
  // A client that pipelines more than this is not watched; a failing write tells.
  asio::steady_timer never(socket_.get_executor(), TimePoint::max());
  co_await never.async_wait(kAsTuple);
}

asio::awaitable<void> HttpConnection::Linger() {
  // Closing with input unread would reset the connection, and the client might never see the
  // answer.
  boost::system::error_code failure;
  socket_.shutdown(asio::socket_base::shutdown_send, failure);
  if (failure) co_return;
  deadline_ = SecondsFromNow(limits::kLingerSeconds);
  size_t drained = 0;
  while (drained < limits::kMaxLingerBytes) {
    inbox_.consume(inbox_.size());
    if (!co_await ReadMore(kBodyReadBytes)) co_return;
    drained += inbox_.size();
  }
}

asio::awaitable<bool> HttpConnection::Write(std::string_view data) {
  while (!data.empty()) {
    deadline_ = SecondsFromNow(limits::kWriteTimeoutSeconds);
    const auto piece = asio::buffer(data.data(), std::min(data.size(), kWriteBytes));
    const auto [failure, count] = co_await socket_.async_write_some(piece, kAsTuple);
    deadline_ = TimePoint::max();
    if (failure) {
      keep_alive_ = false;
      co_return false;
    }
    data.remove_prefix(count);
  }
  co_return true;
}

std::string HttpConnection::Head(const HttpResponse& response, std::optional<size_t> length) const {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nServer: reprise\r\nContent-Type: {}\r\n", response.status,
      std::string_view(http::obsolete_reason(static_cast<http::status>(response.status))),
      response.content_type);
  for (const auto& [name, value] : response.headers) {
    head += fmt::format("{}: {}\r\n", name, value);
  }
  if (length) {
    head += fmt::format("Content-Length: {}\r\n", *length);
  } else if (chunked_) {
    head += "Transfer-Encoding: chunked\r\n";
  }
  head += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

asio::awaitable<bool> HttpConnection::Send(HttpResponse response) {
  status_ = response.status;
  std::string data = Head(response, response.body.size());
  if (!head_only_) data += response.body;
  co_return co_await Write(data);
}

asio::awaitable<bool> HttpConnection::BeginStream(HttpResponse head) {
  status_ = head.status;
  if (!chunked_)
    keep_alive_ = false;  // HTTP/1.0: the end of the stream is the end of the connection
  const std::string data = Head(head, std::nullopt);
  co_return co_await Write(data);
}

asio::awaitable<bool> HttpConnection::SendChunk(std::string data) {
  if (data.empty()) co_return true;  // an empty chunk would end the stream
  const std::string framed =
      chunked_ ? fmt::format("{:x}\r\n{}\r\n", data.size(), data) : std::move(data);
  co_return co_await Write(framed);
}

asio::awaitable<bool> HttpConnection::EndStream() {
  if (!chunked_) co_return true;
  co_return co_await Write("0\r\n\r\n");
}

}  // namespace reprise
