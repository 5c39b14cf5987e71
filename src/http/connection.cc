#include "http/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/status.hpp>
#include <exception>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "http/as_tuple.h"
#include "http/pace.h"
#include "http/request_memory.h"
#include "http/request_parser.h"

namespace reprise {
namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace {

// Whatever the request: RFC 9110, 6.4.1.
bool IsBodiless(int status) { return status == 204 || status == 304; }

constexpr size_t kHeaderReadBytes = 4u << 10;  // most requests without a long prompt
constexpr size_t kBodyReadBytes = 64u << 10;
constexpr size_t kWriteBytes = 64u << 10;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

TimePoint SecondsFromNow(int seconds) {
  return std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
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
  socket_.non_blocking(true, ignored);
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
  RequestParser parser(handlers_.keep_fields);
  const auto memory = std::make_shared<MemoryShare>(handlers_.memory);
  deadline_ = SecondsFromNow(limits::kIdleTimeoutSeconds);
  status_ = 0;
  head_only_ = false;
  bool begun = false;
  std::optional<Pace> pace;  // of the body
  for (;;) {
    if (!begun) SkipEmptyLines(inbox_);
    if (!begun && inbox_.size() > 0) {
      begun = true;
      deadline_ = SecondsFromNow(limits::kHeaderTimeoutSeconds);
    }
    const auto received = inbox_.data();
    const size_t used = parser.Put({static_cast<const char*>(received.data()), received.size()});
    inbox_.consume(used);
    if (HttpRequest* head = parser.head(); head != nullptr && !pace) {
      Authenticate(*head);
      if (head->refusal) {
        head->keep_alive = head->keep_alive && parser.done();
        co_return Incoming{parser.Take(), std::nullopt, {}};
      }
    }
    if (parser.error()) {
      co_return Incoming{std::nullopt, parser.error(), std::string(parser.path())};
    }
    if (parser.head() != nullptr && !pace) {
      const bool waits = parser.expects_continue() && !parser.done() && inbox_.size() == 0;
      if (waits && !co_await Write(kContinue)) co_return Incoming{};
      pace.emplace(std::chrono::steady_clock::now(),
                   std::chrono::seconds(limits::kReadTimeoutSeconds),
                   std::chrono::seconds(limits::kBodyTimeoutSeconds));
    }
    if (!memory->Resize(parser.body_bytes())) {
      co_return Incoming{std::nullopt, NoRequestMemory(), std::string(parser.path())};
    }
    if (parser.done()) {
      HttpRequest request = parser.Take();
      request.memory = memory;
      co_return Incoming{std::move(request), std::nullopt, {}};
    }
    if (used > 0 && inbox_.size() > 0) continue;
    if (pace) {
      pace->Move(used, std::chrono::steady_clock::now());
      deadline_ = pace->deadline();
    }
    if (!co_await ReadMore(pace ? kBodyReadBytes : kHeaderReadBytes)) co_return Incoming{};
  }
}

asio::awaitable<bool> HttpConnection::ReadMore(size_t bytes) {
  if (no_more_input_) co_return false;  // asio says so only once
  const auto space = inbox_.prepare(bytes);
  const auto [failure, count] = co_await socket_.async_read_some(space, kAsTuple);
  inbox_.commit(count);
  no_more_input_ = failure == asio::error::eof;
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
  bool open = true;
  while (open && inbox_.size() < limits::kMaxHeaderBytes)
    open = co_await ReadMore(kHeaderReadBytes);
  if (!open && !no_more_input_) co_return;
  if (!open) Probe();
  // Nothing more is read, so that what is left to notice is a reset.
  for (;;) {
    const auto [failure] = co_await socket_.async_wait(asio::socket_base::wait_error, kAsTuple);
    if (failure) co_return;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket_.native_handle(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) co_return;
  }
}

// The end of the input looks the same from a client that only sends no more and from one that has
// gone; what is written to the latter comes back as a reset. Before the response that may be an
// interim one, which every client of HTTP/1.1 skips (RFC 9110, 15.2); a stream writes soon enough
// by itself.
void HttpConnection::Probe() {
  if (writing_ || status_ != 0 || !chunked_) return;
  boost::system::error_code ignored;
  socket_.write_some(asio::buffer(kContinue), ignored);
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
  const std::chrono::seconds grace(limits::kWriteTimeoutSeconds);
  const std::chrono::seconds all(data.size() / limits::kPaceBytes);  // at a pace a second
  Pace pace(std::chrono::steady_clock::now(), grace, grace + all);
  writing_ = true;
  while (!data.empty()) {
    deadline_ = pace.deadline();
    const auto piece = asio::buffer(data.data(), std::min(data.size(), kWriteBytes));
    const auto [failure, count] = co_await socket_.async_write_some(piece, kAsTuple);
    deadline_ = TimePoint::max();
    if (failure) {
      keep_alive_ = false;
      break;
    }
    pace.Move(count, std::chrono::steady_clock::now());
    data.remove_prefix(count);
  }
  writing_ = false;
  co_return data.empty();
}

std::string HttpConnection::Head(const HttpResponse& response, std::optional<size_t> length) const {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\n", response.status,
      std::string_view(http::obsolete_reason(static_cast<http::status>(response.status))));
  if (!response.passed_on) {
    head += fmt::format("Server: reprise\r\nContent-Type: {}\r\n", response.content_type);
  }
  for (const auto& [name, value] : response.headers) {
    head += fmt::format("{}: {}\r\n", name, value);
  }
  if (IsBodiless(response.status)) {
    // Nothing says where it ends, since nothing is there.
  } else if (length) {
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
  if (head_only_) co_return co_await Write(data);
  if (response.body.size() <= kWriteBytes) {
    data += response.body;
    co_return co_await Write(data);
  }
  const bool there = co_await Write(data);  // and a long body as it lies
  co_return there&& co_await Write(response.body);
}

asio::awaitable<bool> HttpConnection::BeginStream(HttpResponse head) {
  status_ = head.status;
  sized_ = head.length.has_value() || IsBodiless(head.status);
  if (IsBodiless(head.status)) head_only_ = true;
  if (!chunked_ && !sized_)
    keep_alive_ = false;  // HTTP/1.0: the end of the stream is the end of the connection
  const std::string data = Head(head, head.length);
  co_return co_await Write(data);
}

asio::awaitable<bool> HttpConnection::SendChunk(std::string data) {
  if (data.empty() || head_only_) co_return true;  // an empty chunk would end the stream
  const std::string framed =
      chunked_ && !sized_ ? fmt::format("{:x}\r\n{}\r\n", data.size(), data) : std::move(data);
  co_return co_await Write(framed);
}

asio::awaitable<bool> HttpConnection::EndStream() {
  if (!chunked_ || sized_ || head_only_) co_return true;
  co_return co_await Write("0\r\n\r\n");
}

}  // namespace reprise
