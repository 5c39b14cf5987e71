#include "api/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "api/error_response.h"
#include "api/routes.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"
#include "http/web_origin.h"
#include "text/detokenizer.h"
#include "vendor/sse.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

// How nginx logs it; never sent.
constexpr int kClientClosedRequest = 499;

// What the log says of a completion. Speeds are of what was computed; the first token of a reply
// belongs to its prompt.
std::string Describe(const CompletionFigures& figures) {
  const auto per_second = [](int tokens, double ms) { return ms > 0 ? 1e3 * tokens / ms : 0; };
  return fmt::format(
      " prompt={} read={} write={} computed={} generated={} queue={:.1f}ms prefill={:.1f}ms "
      "({:.0f}/s) decode={:.1f}ms ({:.0f}/s) ttft={:.1f}ms",
      figures.prompt_tokens, figures.cached_tokens, figures.written_tokens, figures.computed_tokens,
      figures.generated_tokens, figures.queue_ms, figures.prefill_ms,
      per_second(figures.computed_tokens, figures.prefill_ms), figures.decode_ms,
      per_second(std::max(figures.generated_tokens - 1, 0), figures.decode_ms), figures.ttft_ms);
}

}  // namespace

Exchange::Exchange(HttpRequest received, HttpConnection& on, Service& of, const Route& route)
    : request(std::move(received)),
      identity(request.identity),
      connection(on),
      service(of),
      route_(route.path),
      quiet_(route.quiet),
      id_(of.NewId("req_")),
      body_bytes_(request.body.size()) {
  ++service.open_exchanges;
  if (Tracing()) {
    TraceBar("receive body", request.received, std::chrono::steady_clock::now(), id_);
  }
}

Exchange::~Exchange() {
  --service.open_exchanges;
  const int status = completed ? connection.status() : kClientClosedRequest;
  service.metrics.CountRequest(route_, status);
  const std::string path = ReplaceInvalidUtf8(request.path.substr(0, limits::kLoggedPathBytes));
  std::string line = fmt::format("{} {} {} {:.1f}ms", request.method, path, status, ElapsedMs());
  if (figures.prompt_tokens > 0) line += Describe(figures);
  if (Tracing()) TraceBar(route_, request.received, std::chrono::steady_clock::now(), id_);
  LogLine(quiet_ ? LogLevel::kDebug : LogLevel::kInfo, line);
}

double Exchange::ElapsedMs() const {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() -
                                                   request.received)
      .count();
}

void Exchange::AddHeaders(HttpResponse& response) const {
  response.headers.emplace_back("x-request-id", id_);
  const std::string_view vendors = WireFormOf(request.path).request_id_header;
  if (!vendors.empty()) response.headers.emplace_back(vendors, id_);
  for (auto& header : CorsHeaders(request)) response.headers.push_back(std::move(header));
}

asio::awaitable<bool> Exchange::Send(HttpResponse response) {
  AddHeaders(response);
  completed = co_await connection.Send(std::move(response));
  co_return completed;
}

asio::awaitable<bool> Exchange::SendJson(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  co_return co_await Send(std::move(response));
}

asio::awaitable<bool> Exchange::SendError(Error error) {
  HttpResponse response = ErrorResponse(error, request.path, id_);
  co_return co_await Send(std::move(response));
}

asio::awaitable<bool> Exchange::BeginEvents() {
  HttpResponse head;
  head.content_type = kSseContentType;
  head.headers.emplace_back("Cache-Control", "no-cache");
  if (!co_await BeginStream(std::move(head))) co_return false;
  if (request.method != "HEAD") co_return true;
  completed = true;
  co_return false;
}

asio::awaitable<bool> Exchange::BeginStream(HttpResponse head) {
  AddHeaders(head);
  co_return co_await connection.BeginStream(std::move(head));
}

}  // namespace reprise
