#include "api/server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <string_view>
#include <thread>
#include <utility>

#include "api/completion_run.h"
#include "api/error_response.h"
#include "api/routes.h"
#include "api/service.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"
#include "http/authentication.h"
#include "http/listener.h"
#include "http/web_origin.h"
#include "vendor/responses/response_store.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

const SystemClock kStoreClock;  // of stored responses

ServedModel DescribeModel(const Engine& engine, std::shared_ptr<const Tokenizer> tokenizer,
                          std::shared_ptr<const ChatTemplate> tmpl, const ServerOptions& options) {
  ServedModel model = DescribeTexts({.tokenizer = std::move(tokenizer),
                                     .chat_template = std::move(tmpl),
                                     .chat_template_source = options.chat_template_source,
                                     .bos_token = options.bos_token,
                                     .eos_token = options.eos_token,
                                     .tool_format = options.tool_format});
  model.name = options.model_name;
  model.strict_model = options.strict_model;
  model.default_max_tokens = options.default_max_tokens;
  model.policy = options.policy;
  model.responses = std::make_shared<ResponseStore>(&kStoreClock, options.response_retention,
                                                    limits::kResponseStoreBytes);
  if (auto grammars = GrammarCompiler::Create(model.tokenizer)) {
    model.grammars = std::move(*grammars);
  } else {
    LogWarning("replies cannot be held to a form: {}", grammars.error().message);
  }
  model.vocabulary = engine.model_config().vocabulary;
  model.max_sequence_tokens = engine.max_sequence_tokens();
  return model;
}

}  // namespace

struct Server::Impl {
  Impl(Engine& engine, ServedModel model, const ServerOptions& options)
      : memory(options.request_memory > 0 ? options.request_memory : limits::kMinRequestMemory),
        listener(io, Handlers()),
        service(engine, std::move(model), options, io, listener) {}

  HttpHandlers Handlers() {
    return {
        .memory = memory,
        .authenticate = [this](const HttpRequest& head) -> Result<Identity> {
          const Status origin = CheckOrigin(head, service.options.origins);
          if (!origin) return std::unexpected(origin.error());
          if (ShowsFleetToken(head, service.options.fleet_token)) return Identity{};
          return Authenticate(head, service.keys ? &*service.keys : nullptr);
        },
        .handle =
            [this](HttpRequest request, HttpConnection& connection) {
              return Dispatch(std::move(request), connection, service);
            },
        .refuse = [](const Error& error,
                     std::string_view path) { return ErrorResponse(error, NormalPath(path), {}); }};
  }

  void AbortRuns(bool started_too) {
    for (CompletionRun* run : service.runs) {
      if (started_too || !run->started()) run->Abort(StoppingError());
    }
  }

  asio::awaitable<void> WaitForExchanges(Duration longest, bool watchers_too) {
    const TimePoint until = std::chrono::steady_clock::now() + longest;
    asio::steady_timer timer(io);
    const auto left = [&] {
      const size_t watching = service.watchers.count() + service.followers.count();
      return service.open_exchanges - (watchers_too ? 0 : watching);
    };
    while (left() > 0 && std::chrono::steady_clock::now() < until) {
      timer.expires_after(std::chrono::milliseconds(5));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  asio::awaitable<void> Drain(Duration longest) {
    service.stopping = true;
    service.followers.TellDraining();
    service.watchers.Stop();
    AbortRuns(/*started_too=*/false);
    co_await WaitForExchanges(longest, /*watchers_too=*/false);
    AbortRuns(/*started_too=*/true);
    service.followers.Stop();
    listener.StopAccepting();
    co_await WaitForExchanges(std::chrono::milliseconds(limits::kStopFlushMs),
                              /*watchers_too=*/true);
    listener.Close();
  }

  void Run() {
    listener.Start();
    asio::co_spawn(io, service.watchers.Run(), asio::detached);
    asio::co_spawn(io, service.followers.Run(), asio::detached);
    thread = std::thread([this] {
      NameTraceThread("sockets");
      io.run();
    });
  }

  MemoryBudget memory;  // first: whatever io still holds counts in it
  asio::io_context io{1};
  HttpListener listener;
  Service service;
  std::thread thread;
};

Result<std::unique_ptr<Server>> Server::Start(Engine& engine,
                                              std::shared_ptr<const Tokenizer> tokenizer,
                                              std::shared_ptr<const ChatTemplate> tmpl,
                                              ServerOptions options) {
  ServedModel model = DescribeModel(engine, std::move(tokenizer), std::move(tmpl), options);
  std::optional<ApiKeys> keys = std::exchange(options.api_keys, std::nullopt);
  options.origins.loopback = IsLoopbackAddress(options.host);
  auto impl = std::make_unique<Impl>(engine, std::move(model), options);
  if (Status listening = impl->listener.Listen(options.host, options.port); !listening) {
    return std::unexpected(std::move(listening).error());
  }
  impl->service.keys = std::move(keys);
  impl->Run();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Stop(); }

int Server::port() const { return impl_->listener.port(); }

void Server::ReplaceKeys(ApiKeys keys) {
  std::promise<void> replaced;
  asio::post(impl_->io, [&] {
    impl_->service.keys = std::move(keys);
    replaced.set_value();
  });
  replaced.get_future().wait();
}

void Server::Stop(Duration drain) {
  if (!impl_->thread.joinable()) return;
  asio::co_spawn(impl_->io, impl_->Drain(drain), asio::detached);
  impl_->thread.join();
  // What replies have left to do in the background submits to the engine.
  impl_->service.workers.Stop();
}

}  // namespace reprise
