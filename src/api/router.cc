#include "api/router.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

#include "api/admin.h"
#include "api/cache_page.h"
#include "api/completion.h"
#include "api/history_page.h"
#include "api/text_tools.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

constexpr std::array kRoutes = {
    Route{"POST", "/v1/chat/completions", HandleChatCompletion},
    Route{"POST", "/v1/completions", HandleTextCompletion},
    Route{"POST", "/v1/messages", HandleMessages},
    Route{"POST", "/v1/messages/count_tokens", HandleCountTokens},
    Route{"GET", "/v1/models", HandleModels},
    Route{"GET", "/v1/models/", HandleModel},
    Route{"GET", "/health", HandleHealth, true},
    Route{"GET", "/metrics", HandleMetrics, true, true},
    Route{"GET", "/props", HandleProps},
    Route{"GET", "/cache", HandleCache},
    Route{"DELETE", "/cache", HandleFlush, false, true},
    Route{"GET", "/cache/requests", HandlePastRequests},
    Route{"GET", "/cache/requests/", HandlePastRequest},
    Route{"POST", "/tokenize", HandleTokenize},
    Route{"POST", "/detokenize", HandleDetokenize},
    Route{"POST", "/apply-template", HandleApplyTemplate},
    Route{"GET", "/", HandleIndex, true},
};

bool Matches(const Route& route, std::string_view path) {
  if (route.path.size() > 1 && route.path.ends_with('/')) {
    return path.starts_with(route.path) && path.size() > route.path.size();
  }
  return path == route.path;
}

bool Answers(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

const ExtraPage* FindExtraPage(const HttpRequest& request, const Service& service) {
  for (const ExtraPage& page : service.options.extra_pages) {
    if (page.path == request.path && page.method == request.method) return &page;
  }
  return nullptr;
}

asio::awaitable<void> Answer(const ExtraPage& page, Exchange& exchange) {
  Result<std::string> answer = page.answer(exchange.service.engine, exchange.request.body);
  if (answer) {
    co_await exchange.SendJson(std::move(*answer));
  } else {
    co_await exchange.SendFault(ToFault(answer.error()));
  }
}

Fault FaultOfRouting(const HttpRequest& request, const std::string& allowed) {
  if (allowed.empty()) {
    return ToFault(
        {ErrorCode::kNotFound, fmt::format("There is nothing at {}.", request.path), ""});
  }
  return {405,
          "invalid_request_error",
          "method_not_allowed",
          fmt::format("{} does not take {}; it takes {}.", request.path, request.method, allowed),
          "",
          0,
          405,
          "invalid_request_error"};
}

Fault FaultOfPermission() {
  return ToFault(
      {ErrorCode::kForbidden, "This concerns all tenants: it needs an administrator's key.", ""});
}

}  // namespace

asio::awaitable<void> Dispatch(HttpRequest request, HttpConnection& connection, Service& service) {
  const Route* found = nullptr;
  std::string allowed;  // methods of the routes with this path
  for (const Route& route : kRoutes) {
    if (!Matches(route, request.path)) continue;
    if (Answers(route, request.method)) found = &route;
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", route.method);
  }
  Exchange exchange(std::move(request), connection, service,
                    found != nullptr ? found->path : "other", found != nullptr && found->quiet);
  if (exchange.request.refusal) {
    co_await exchange.SendFault(ToFault(*exchange.request.refusal));
    co_return;
  }
  if (found != nullptr && found->admin && !exchange.identity.admin) {
    co_await exchange.SendFault(FaultOfPermission());
    co_return;
  }
  if (found != nullptr) {
    co_await found->handler(exchange);
    co_return;
  }
  if (const ExtraPage* page = FindExtraPage(exchange.request, service)) {
    co_await Answer(*page, exchange);
    co_return;
  }
  HttpResponse response = FaultResponse(FaultOfRouting(exchange.request, allowed),
                                        exchange.request.path, exchange.id());
  if (!allowed.empty()) response.headers.emplace_back("Allow", allowed);
  co_await exchange.Send(std::move(response));
}

}  // namespace reprise
