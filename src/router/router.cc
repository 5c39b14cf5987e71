#include "router/router.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <thread>
#include <utility>

#include "base/fleet_limits.h"
#include "base/limits.h"
#include "base/trace.h"
#include "http/as_tuple.h"
#include "http/authentication.h"
#include "http/listener.h"
#include "http/web_origin.h"
#include "router/routed_request.h"
#include "router/router_service.h"

namespace reprise {
namespace asio = boost::asio;

namespace {

// Besides clients' connections: one to a replica for each of them, those that wait for the next
// request, and the rest.
constexpr size_t kMoreFiles = limits::kMaxConnections +
                              limits::kMaxReplicas * limits::kMaxIdleUpstreams +
                              limits::kOtherFiles;

}  // namespace

struct Router::Impl {
  explicit Impl(RouterOptions options)
      : memory(options.request_memory > 0 ? options.request_memory : limits::kMinRequestMemory),
        listener(io, Handlers()),
        service(std::move(options), io) {}

  HttpHandlers Handlers() {
    return {.memory = memory,
            .authenticate = [this](const HttpRequest& head) -> Result<Identity> {
              const Status origin = CheckOrigin(head, service.options.origins);
              if (!origin) return std::unexpected(origin.error());
              return Authenticate(head, service.keys ? &*service.keys : nullptr);
            },
            .handle =
                [this](HttpRequest request, HttpConnection& connection) {
                  return AnswerRouted(std::move(request), connection, service);
                },
            .refuse =
                [](const Error& error, std::string_view path) {
                  return RouterErrorResponse(error, RouteOf("", path).path);
                },
            .keep_fields = true};
  }

  void Abort(bool passing_on_too) {
    // Aborting resumes no coroutine at once, so the set stays as it is meanwhile.
    for (RoutedRequest* request : service.requests) {
      if (passing_on_too || request->may_end()) request->Abort();
    }
  }

  asio::awaitable<void> WaitForRequests(Duration longest) {
    const TimePoint until = std::chrono::steady_clock::now() + longest;
    asio::steady_timer timer(io);
    while (!service.requests.empty() && std::chrono::steady_clock::now() < until) {
      timer.expires_after(std::chrono::milliseconds(5));
      co_await timer.async_wait(kAsTuple);
    }
  }

  asio::awaitable<void> Drain(Duration longest) {
    service.stopping = true;
    listener.StopAccepting();
    Abort(/*passing_on_too=*/false);
    service.line.WakeAll();
    co_await WaitForRequests(longest);
    Abort(/*passing_on_too=*/true);
    co_await WaitForRequests(std::chrono::milliseconds(limits::kStopFlushMs));
    service.Stop();
    listener.Close();
  }

  void Run() {
    listener.Start();
    thread = std::thread([this] {
      NameTraceThread("sockets");
      io.run();
    });
  }

  MemoryBudget memory;  // first: whatever io still holds counts in it
  asio::io_context io{1};
  HttpListener listener;
  RouterService service;
  std::thread thread;
};

Result<std::unique_ptr<Router>> Router::Start(RouterOptions options) {
  std::optional<ApiKeys> keys = std::exchange(options.api_keys, std::nullopt);
  options.origins.loopback = IsLoopbackAddress(options.host);
  auto impl = std::make_unique<Impl>(std::move(options));
  const RouterOptions& kept = impl->service.options;
  if (Status listening = impl->listener.Listen(kept.host, kept.port, kMoreFiles); !listening) {
    return std::unexpected(std::move(listening).error());
  }
  impl->service.keys = std::move(keys);
  if (Status started = impl->service.Start(); !started) {
    return std::unexpected(std::move(started).error());
  }
  impl->Run();
  return std::unique_ptr<Router>(new Router(std::move(impl)));
}

Router::Router(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Router::~Router() { Stop(); }

int Router::port() const { return impl_->listener.port(); }

void Router::ReplaceKeys(ApiKeys keys) {
  std::promise<void> replaced;
  asio::post(impl_->io, [&] {
    impl_->service.keys = std::move(keys);
    replaced.set_value();
  });
  replaced.get_future().wait();
}

void Router::Stop(Duration drain) {
  if (!impl_->thread.joinable()) return;
  asio::co_spawn(impl_->io, impl_->Drain(drain), asio::detached);
  impl_->thread.join();
  impl_->service.workers.Stop();
}

}  // namespace reprise
