#include "api/server.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "api/authentication.h"
#include "api/http_connection.h"
#include "api/router.h"
#include "api/service.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"

namespace reprise {
namespace asio = boost::asio;
using asio::ip::tcp;
namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

// Every connection is a file; the usual soft limit is 1,024 of them.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = limits::kMaxConnections + 256;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
    LogWarning("only {} files may be open, so fewer connections than {} can be", limit.rlim_cur,
               limits::kMaxConnections);
  }
}

ServedModel DescribeModel(const Engine& engine, std::shared_ptr<const Tokenizer> tokenizer,
                          std::shared_ptr<const ChatTemplate> tmpl, const ServerOptions& options) {
  ServedModel model;
  model.tokenizer = std::move(tokenizer);
  model.chat_template = std::move(tmpl);
  model.name = options.model_name;
  model.bos_token = options.bos_token;
  model.eos_token = options.eos_token;
  model.strict_model = options.strict_model;
  model.default_max_tokens = options.default_max_tokens;
  model.policy = options.policy;
  if (model.chat_template != nullptr) {
    model.template_traits =
        DetectTraits(*model.chat_template, options.bos_token, options.eos_token);
  }
  model.vocabulary = engine.model_config().vocabulary;
  model.max_sequence_tokens = engine.max_sequence_tokens();
  return model;
}

}  // namespace

struct Server::Impl {
  Impl(Engine& engine, ServedModel model, const ServerOptions& options)
      : acceptor(io),
        sweep_timer(io),
        service(engine, std::move(model), options, io.get_executor()),
        gate([this](const HttpRequest& head) {
          return Authenticate(head, service.keys ? &*service.keys : nullptr);
        }),
        handler([this](HttpRequest request, HttpConnection& connection) {
          return Dispatch(std::move(request), connection, service);
        }) {}

  Status Listen(const ServerOptions& options);
  void Run();
  asio::awaitable<void> Accept();
  asio::awaitable<void> Converse(tcp::socket socket);
  asio::awaitable<void> Sweep();
  void CloseAll();

  asio::io_context io{1};
  tcp::acceptor acceptor;
  asio::steady_timer sweep_timer;
  Service service;
  const HttpConnection::Gate gate;
  const HttpConnection::Handler handler;
  std::unordered_set<HttpConnection*> connections;
  bool stopping = false;  // I/O thread
  int port = 0;
  std::thread thread;
};

Status Server::Impl::Listen(const ServerOptions& options) {
  boost::system::error_code failure;
  const asio::ip::address address = asio::ip::make_address(options.host, failure);
  if (failure || options.port < 0 || options.port > 65535) {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{}:{} is not an address and port to listen on.", options.host, options.port));
  }
  const tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
  acceptor.open(endpoint.protocol(), failure);
  if (!failure) acceptor.set_option(asio::socket_base::reuse_address(true), failure);
  if (!failure) acceptor.bind(endpoint, failure);
  if (!failure) acceptor.listen(limits::kMaxConnections, failure);
  if (!failure) port = acceptor.local_endpoint(failure).port();
  if (failure == asio::error::address_in_use) {
    return Fail(ErrorCode::kIo, fmt::format("Port {} of {} is in use by another program.",
                                            options.port, options.host));
  }
  if (failure) {
    return Fail(ErrorCode::kIo, fmt::format("Cannot listen on {}:{}: {}.", options.host,
                                            options.port, failure.message()));
  }
  return {};
}

void Server::Impl::Run() {
  asio::co_spawn(io, Accept(), asio::detached);
  asio::co_spawn(io, Sweep(), asio::detached);
  thread = std::thread([this] {
    NameTraceThread("sockets");
    io.run();
  });
}

asio::awaitable<void> Server::Impl::Accept() {
  while (!stopping) {
    auto [failure, socket] = co_await acceptor.async_accept(kAsTuple);
    if (stopping) co_return;
    if (failure) {
      // Out of files, mostly: what is open must close first.
      LogWarning("cannot accept a connection: {}", failure.message());
      asio::steady_timer pause(io, std::chrono::milliseconds(100));
      co_await pause.async_wait(kAsTuple);
      continue;
    }
    service.metrics.CountConnection();
    if (connections.size() >= limits::kMaxConnections) {
      constexpr std::string_view kFull =
          "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
          "Connection: close\r\n\r\n";
      socket.non_blocking(true, failure);
      socket.write_some(asio::buffer(kFull), failure);
      continue;  // closes it
    }
    asio::co_spawn(io, Converse(std::move(socket)), asio::detached);
  }
}

asio::awaitable<void> Server::Impl::Converse(tcp::socket socket) {
  HttpConnection connection(std::move(socket), gate, handler);
  connections.insert(&connection);
  service.open_connections = connections.size();
  co_await connection.Run();
  connections.erase(&connection);
  service.open_connections = connections.size();
}

// One timer for all deadlines; they are seconds, so a second is exact enough.
asio::awaitable<void> Server::Impl::Sweep() {
  while (!stopping) {
    sweep_timer.expires_after(std::chrono::seconds(1));
    co_await sweep_timer.async_wait(kAsTuple);
    const TimePoint now = std::chrono::steady_clock::now();
    for (HttpConnection* connection : connections) {
      if (connection->deadline() < now) connection->Close();
    }
  }
}

void Server::Impl::CloseAll() {
  stopping = true;
  boost::system::error_code ignored;
  acceptor.close(ignored);
  sweep_timer.cancel();
  for (HttpConnection* connection : connections) connection->Close();
}

Result<std::unique_ptr<Server>> Server::Start(Engine& engine,
                                              std::shared_ptr<const Tokenizer> tokenizer,
                                              std::shared_ptr<const ChatTemplate> tmpl,
                                              ServerOptions options) {
  RaiseFileLimit();
  ServedModel model = DescribeModel(engine, std::move(tokenizer), std::move(tmpl), options);
  std::optional<ApiKeys> keys = std::exchange(options.api_keys, std::nullopt);
  auto impl = std::make_unique<Impl>(engine, std::move(model), options);
  if (Status listening = impl->Listen(options); !listening) {
    return std::unexpected(std::move(listening).error());
  }
  impl->service.keys = std::move(keys);
  impl->Run();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Stop(); }

int Server::port() const { return impl_->port; }

void Server::ReplaceKeys(ApiKeys keys) {
  std::promise<void> replaced;
  asio::post(impl_->io, [&] {
    impl_->service.keys = std::move(keys);
    replaced.set_value();
  });
  replaced.get_future().wait();
}

void Server::Stop() {
  if (!impl_->thread.joinable()) return;
  asio::post(impl_->io, [this] { impl_->CloseAll(); });
  impl_->thread.join();
}

}  // namespace reprise
