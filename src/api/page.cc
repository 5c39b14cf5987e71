#include "api/page.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "page/page_files.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

// Everything comes from this server, as files: no script or style stands in the HTML itself,
// nothing is fetched from elsewhere, and no other site may show the page inside its own.
constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

asio::awaitable<void> SendPageFile(Exchange& exchange, std::string_view name) {
  const PageFile* file = FindPageFile(name);
  if (file == nullptr) {
    Error error{ErrorCode::kNotFound, fmt::format("The page has no file '{}'.", name), ""};
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  HttpResponse response;
  response.content_type = file->type;
  response.body = file->body;
  response.headers = {{"Content-Security-Policy", kContentSecurityPolicy},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-store"},  // another version's script may not meet it
                      {"Vary", "Accept"}};
  co_await exchange.Send(std::move(response));
}

}  // namespace

asio::awaitable<void> HandleIndex(Exchange& exchange) {
  if (exchange.request.wants_html) {
    co_await SendPageFile(exchange, "index.html");
    co_return;
  }
  const json::object body = {{"name", "reprise"},
                             {"model", exchange.service.model.name},
                             {"needs_key", exchange.service.keys.has_value()}};
  co_await exchange.SendJson(json::serialize(body));
}

asio::awaitable<void> HandlePageFile(Exchange& exchange) {
  const std::string_view path = exchange.request.path;
  co_await SendPageFile(exchange, path.substr(std::string_view("/page/").size()));
}

}  // namespace reprise
