#include "api/stored_responses.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "vendor/responses/response_store.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

std::string IdOf(const Exchange& exchange) {
  return exchange.request.path.substr(std::string_view("/v1/responses/").size());
}

Error NoResponse(const std::string& id) {
  return {
      ErrorCode::kNotFound,
      fmt::format("Response with id '{}' not found: it was not stored, or is kept no longer.", id),
      "id"};
}

}  // namespace

asio::awaitable<void> HandleResponse(Exchange& exchange) {
  const std::string id = IdOf(exchange);
  const std::shared_ptr<const StoredResponse> stored =
      exchange.service.model.responses->Find(exchange.identity.tenant, id);
  if (stored == nullptr) {
    Error error = NoResponse(id);
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  co_await exchange.SendJson(stored->body);
}

asio::awaitable<void> HandleDeleteResponse(Exchange& exchange) {
  const std::string id = IdOf(exchange);
  if (!exchange.service.model.responses->Erase(exchange.identity.tenant, id)) {
    Error error = NoResponse(id);
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  co_await exchange.SendJson(
      fmt::format(R"({{"id":"{}","object":"response","deleted":true}})", id));
}

}  // namespace reprise
