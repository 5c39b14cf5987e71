#include "api/costs_page.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/costs_json.h"
#include "api/shown_time.h"
#include "base/limits.h"
#include "costs/cost_report.h"
#include "costs/traffic.h"
#include "history/history.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

struct RecordedPrompt {
  SentPrompt sent;  // without its parts
  std::vector<PartSpan> part_spans;
};

// The newest requests that were looked up, as far as limits allow, copied for a worker.
struct CostedHistory {
  std::map<std::string, std::vector<RecordedPrompt>> tenants;
  size_t requests = 0;
  size_t left_out = 0;
  size_t generated = 0;
  PromptTokens here;
  WallTime from, to;

  void Add(const PastRequest& request) {
    const bool looked_up = std::ranges::any_of(
        request.prompts, [](const PastPrompt& prompt) { return prompt.started.has_value(); });
    if (!looked_up) return;
    size_t tokens = 0;
    for (const PastPrompt& prompt : request.prompts) tokens += prompt.tokens.size();
    if (left_out > 0 || requests == limits::kMaxCostedRequests ||
        here.total + tokens > limits::kMaxCostedTokens) {
      ++left_out;
      return;
    }
    if (requests++ == 0) to = request.time;
    from = request.time;
    generated += static_cast<size_t>(request.generated());
    const auto time_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(request.time.time_since_epoch());
    std::vector<RecordedPrompt>& into = tenants[request.tenant];
    for (const PastPrompt& prompt : request.prompts) {
      here.total += prompt.tokens.size();
      here.read += prompt.read();
      into.push_back({{.time_ms = time_ms.count(), .tokens = prompt.tokens, .marks = prompt.marks},
                      prompt.part_spans});
    }
  }
};

std::string Reckon(CostedHistory history, const Tokenizer& tokenizer, json::object body) {
  std::vector<Traffic> tenants;
  for (auto& [tenant, recorded] : history.tenants) {
    std::vector<SentPrompt> prompts;
    for (RecordedPrompt& each : recorded) {
      each.sent.parts = PartEndsOf(each.sent.tokens, each.part_spans, tokenizer);
      prompts.push_back(std::move(each.sent));
    }
    tenants.push_back(TrafficOf(std::move(prompts)));
  }
  json::array sheets;
  for (const SheetCosts& costs : ReckonCosts(tenants, PublishedSheets())) {
    sheets.push_back(SheetCostsJson(costs, history.here, history.generated));
  }
  body["sheets"] = std::move(sheets);
  return json::serialize(body);
}

json::value TimeJson(const CostedHistory& history, WallTime time) {
  if (history.requests == 0) return nullptr;
  json::object shown;
  AddTime(time, std::chrono::system_clock::now(), shown);
  return shown;
}

}  // namespace

asio::awaitable<void> HandlePrices(Exchange& exchange) {
  json::array sheets;
  for (const PriceSheet& sheet : PublishedSheets()) sheets.push_back(PriceSheetJson(sheet));
  const json::object body = {{"sheets", std::move(sheets)}};
  co_await exchange.SendJson(json::serialize(body));
}

asio::awaitable<void> HandleCosts(Exchange& exchange) {
  Service& service = exchange.service;
  CostedHistory history;
  const auto add = [&history](const PastRequest& request) { history.Add(request); };
  if (exchange.identity.admin) {
    service.history.ForEach(add);
  } else {
    service.history.ForEachOf(exchange.identity.tenant, add);
  }
  json::object body = {{"from", TimeJson(history, history.from)},
                       {"to", TimeJson(history, history.to)},
                       {"requests", history.requests},
                       {"left_out", history.left_out},
                       {"tokens",
                        {{"prompt", history.here.total},
                         {"read", history.here.read},
                         {"generated", history.generated}}}};
  WorkOrder order = exchange.Order();
  // Long work, however few tokens: many small requests take as long as few large ones.
  order.bytes = std::max(history.here.total * sizeof(TokenId), limits::kShortWorkBytes + 1);
  std::function<Result<std::string>()> reckon =
      [history = std::move(history), body = std::move(body),
       &tokenizer = *service.model.tokenizer]() mutable -> Result<std::string> {
    return Reckon(std::move(history), tokenizer, std::move(body));
  };
  Result<std::string> answer =
      co_await service.workers.OnWorker(std::move(order), std::move(reckon));
  if (answer) {
    co_await exchange.SendJson(std::move(*answer));
  } else {
    co_await exchange.SendError(answer.error());
  }
}

}  // namespace reprise
