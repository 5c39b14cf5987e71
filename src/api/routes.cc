#include "api/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "api/admin.h"
#include "api/cache_page.h"
#include "api/completion.h"
#include "api/costs_page.h"
#include "api/embeddings.h"
#include "api/error_response.h"
#include "api/follow_stream.h"
#include "api/history_page.h"
#include "api/page.h"
#include "api/savings_page.h"
#include "api/stored_responses.h"
#include "api/text_tools.h"
#include "api/tree_page.h"
#include "api/watch_stream.h"
#include "base/ascii.h"
#include "http/route.h"
#include "vendor/anthropic/endpoints.h"
#include "vendor/openai/endpoints.h"
#include "vendor/responses/endpoints.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

struct HandledRoute {
  Route route;
  asio::awaitable<void> (*handler)(Exchange&);
};

template <const WireEndpoint& endpoint>
asio::awaitable<void> Complete(Exchange& exchange) {
  co_await HandleCompletion(exchange, endpoint);
}

constexpr std::string_view kHealthPath = "/health";  // also answered while the server stops

const std::array kRoutes = {
    HandledRoute{{"POST", kChatCompletions.path}, Complete<kChatCompletions>},
    HandledRoute{{"POST", kTextCompletions.path}, Complete<kTextCompletions>},
    HandledRoute{{"POST", kMessages.path}, Complete<kMessages>},
    HandledRoute{{"POST", "/v1/messages/count_tokens"}, HandleCountTokens},
    HandledRoute{{"POST", kResponses.path}, Complete<kResponses>},
    HandledRoute{{"GET", "/v1/responses/"}, HandleResponse},
    HandledRoute{{"DELETE", "/v1/responses/"}, HandleDeleteResponse},
    HandledRoute{{"POST", "/v1/embeddings"}, HandleEmbeddings},
    HandledRoute{{"GET", "/v1/models"}, HandleModels},
    HandledRoute{{"GET", "/v1/models/"}, HandleModel},
    HandledRoute{{"GET", kHealthPath, /*quiet=*/true}, HandleHealth},
    HandledRoute{{"GET", "/metrics", /*quiet=*/true, /*admin=*/true}, HandleMetrics},
    HandledRoute{{"GET", "/props"}, HandleProps},
    HandledRoute{{"GET", "/cache"}, HandleCache},
    HandledRoute{{"DELETE", "/cache", /*quiet=*/false, /*admin=*/true}, HandleFlush},
    HandledRoute{{"GET", "/cache/requests"}, HandlePastRequests},
    HandledRoute{{"GET", "/cache/requests/"}, HandlePastRequest},
    HandledRoute{{"GET", "/cache/tree", /*quiet=*/true}, HandleTree},
    HandledRoute{{"GET", "/cache/tree/"}, HandleTreeNode},
    HandledRoute{{"DELETE", "/cache/tree/", /*quiet=*/false, /*admin=*/true}, HandleDropTreeNode},
    HandledRoute{{"POST", "/cache/tree/", /*quiet=*/false, /*admin=*/true}, HandleKeepTreeNode},
    HandledRoute{{"GET", "/cache/series", /*quiet=*/true}, HandleSeries},
    HandledRoute{{"GET", "/cache/watch", /*quiet=*/true}, HandleWatch},
    HandledRoute{{"GET", "/cache/events", /*quiet=*/true, /*admin=*/true}, HandleFollow},
    HandledRoute{{"GET", "/savings", /*quiet=*/true}, HandleSavings},
    HandledRoute{{"GET", "/cache/costs", /*quiet=*/true}, HandleCosts},
    HandledRoute{{"GET", "/prices", /*quiet=*/true}, HandlePrices},
    HandledRoute{{"POST", "/tokenize"}, HandleTokenize},
    HandledRoute{{"POST", "/detokenize"}, HandleDetokenize},
    HandledRoute{{"POST", "/apply-template"}, HandleApplyTemplate},
    HandledRoute{{"GET", "/", /*quiet=*/true}, HandleIndex},
    HandledRoute{{"GET", "/page/", /*quiet=*/true}, HandlePageFile},
};

// A vendor's paths are its root and all below it; what is nobody's is OpenAI's.
struct VendorRoot {
  std::string_view path;
  const WireForm& form;
};
constexpr std::array kVendorRoots = {
    VendorRoot{"/v1/messages", kAnthropic},
};

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
    co_await exchange.SendError(answer.error());
  }
}

Error NotForThisKey() {
  return {ErrorCode::kForbidden, "This concerns all tenants: it needs an administrator's key.", ""};
}

// Of a path without this method, or without any.
Error NoRoute(const HttpRequest& request, const std::string& allowed) {
  if (allowed.empty()) {
    return {ErrorCode::kNotFound, fmt::format("There is nothing at {}.", request.path), ""};
  }
  return {ErrorCode::kMethodNotAllowed,
          fmt::format("{} does not take {}; it takes {}.", request.path, request.method, allowed),
          ""};
}

// Which every browser asks about before it sends it for a page of another site.
bool IsJson(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  return EqualsIgnoringCase(type.substr(0, type.find_last_not_of(" \t") + 1), "application/json");
}

// Why a request is not handled at all.
std::optional<Error> Refusal(const HttpRequest& request, const Route& route, bool stopping) {
  if (stopping && route.path != kHealthPath) return StoppingError();
  if (request.refusal) return request.refusal;
  if (route.admin && !request.identity.admin) return NotForThisKey();
  if (request.method == "POST" && !route.path.empty() && !IsJson(request.content_type)) {
    return Error{ErrorCode::kUnsupportedMediaType,
                 "The body is JSON; say so with the header Content-Type: application/json.", ""};
  }
  return std::nullopt;
}

asio::awaitable<void> AnswerPreflight(Exchange& exchange) {
  HttpResponse response;
  response.content_type = "text/plain";
  co_await exchange.Send(std::move(response));
}

}  // namespace

const WireForm& WireFormOf(std::string_view path) {
  for (const VendorRoot& root : kVendorRoots) {
    if (IsAtOrBelow(root.path, path)) return root.form;
  }
  return kOpenAi;
}

std::string NormalPath(std::string_view path) {
  return UnderstoodPath(path, [](std::string_view candidate) {
    return std::ranges::any_of(kRoutes, [candidate](const HandledRoute& each) {
      return MatchesPath(each.route, candidate);
    });
  });
}

asio::awaitable<void> Dispatch(HttpRequest request, HttpConnection& connection, Service& service) {
  request.path = NormalPath(request.path);
  const auto [found, allowed] =
      FindRoute(std::span<const HandledRoute>(kRoutes), request.method, request.path);
  const Route route = found != nullptr ? found->route : Route{"", "other"};
  Exchange exchange(std::move(request), connection, service, route);
  if (const std::optional<Error> refusal = Refusal(exchange.request, route, service.stopping)) {
    co_await exchange.SendError(*refusal);
    co_return;
  }
  if (exchange.request.preflight) {
    co_await AnswerPreflight(exchange);
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
  // A path that is no vendor's: in the form that the client reads.
  const std::string_view form = exchange.request.of_anthropics_client
                                    ? kMessages.path
                                    : std::string_view(exchange.request.path);
  HttpResponse response = ErrorResponse(NoRoute(exchange.request, allowed), form, exchange.id());
  if (!allowed.empty()) response.headers.emplace_back("Allow", allowed);
  co_await exchange.Send(std::move(response));
}

}  // namespace reprise
