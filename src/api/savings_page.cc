#include "api/savings_page.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "api/costs_json.h"
#include "api/series.h"
#include "api/shown_time.h"
#include "costs/price_sheet.h"
#include "history/ledger.h"
#include "http/query.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

json::object FirstTokenJson(const MedianCount& count) {
  const std::optional<double> median = count.Median();
  json::object shown = {{"requests", count.count()}, {"median_ms", nullptr}};
  if (median) shown["median_ms"] = *median;
  return shown;
}

// What an account is shown with.
struct Showing {
  int threads = 1;
  const PriceSheet* sheet = nullptr;  // none: no money
};

json::object FiguresJson(const LedgerFigures& figures, const Showing& showing) {
  const WorkCounts& work = figures.work;
  json::object shown = {
      {"requests", work.requests},
      {"tokens",
       {{"prompt", work.prompt},
        {"read", work.read},
        {"computed", work.computed},
        {"generated", work.generated}}},
      {"read_share", nullptr},
      {"waiting_seconds", work.saved_seconds},
      {"cpu_seconds", work.saved_seconds * showing.threads},
      {"first_token",
       {{"cold", FirstTokenJson(figures.cold)}, {"cached", FirstTokenJson(figures.cached)}}}};
  if (work.prompt > 0) {
    shown["read_share"] = static_cast<double>(work.read) / static_cast<double>(work.prompt);
  }
  if (showing.sheet != nullptr) shown["money"] = MoneyJson(work, *showing.sheet);
  return shown;
}

json::object AccountJson(const LedgerAccount& account, const Showing& showing) {
  return {{"since_start", FiguresJson(account.since_start(), showing)},
          {"last_hour", FiguresJson(account.LastHour(Service::SecondsSince1970()), showing)}};
}

// nullopt: the query says something else.
std::optional<LedgerSpan> SpanOf(std::string_view query) {
  const std::string span = QueryField(query, "span").value_or("10m");
  if (span == "10m") return LedgerSpan::kTenMinutes;
  if (span == "24h") return LedgerSpan::kDay;
  return std::nullopt;
}

}  // namespace

asio::awaitable<void> HandleSavings(Exchange& exchange) {
  const Identity& identity = exchange.identity;
  Service& service = exchange.service;
  Showing showing{.threads = service.options.threads};
  if (const auto name = QueryField(exchange.request.query, "prices")) {
    showing.sheet = FindSheet(*name);
    if (showing.sheet == nullptr) {
      Error error{ErrorCode::kInvalidArgument,
                  fmt::format("There are no prices '{}'; GET /prices lists them.", *name),
                  "prices"};
      co_await exchange.SendError(std::move(error));
      co_return;
    }
  }
  service.watchers.CountWork(Service::SecondsSince1970());
  const Ledger& ledger = service.ledger;
  const auto of_tenant = [&showing](const std::string& name, const LedgerAccount& account) {
    json::object shown = {{"tenant", name}};
    for (auto& [field, value] : AccountJson(account, showing)) shown[field] = value;
    return shown;
  };
  json::array tenants;
  if (identity.admin) {
    for (const auto& [name, account] : ledger.tenants()) {
      tenants.push_back(of_tenant(name, account));
    }
  } else {
    tenants.push_back(of_tenant(identity.tenant, ledger.Of(identity.tenant)));
  }
  json::object started;
  AddTime(WallTime(std::chrono::seconds(ledger.start())), std::chrono::system_clock::now(),
          started);
  const LedgerAccount& total = identity.admin ? ledger.total() : ledger.Of(identity.tenant);
  const json::object body = {{"started", std::move(started)},
                             {"total", AccountJson(total, showing)},
                             {"tenants", std::move(tenants)}};
  co_await exchange.SendJson(json::serialize(body));
}

asio::awaitable<void> HandleSeries(Exchange& exchange) {
  const std::optional<LedgerSpan> span = SpanOf(exchange.request.query);
  if (!span) {
    Error error{ErrorCode::kInvalidArgument, "The span is 10m or 24h, as in ?span=10m.", "span"};
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  Service& service = exchange.service;
  service.watchers.CountWork(Service::SecondsSince1970());
  const Identity& identity = exchange.identity;
  const LedgerAccount& account =
      identity.admin ? service.ledger.total() : service.ledger.Of(identity.tenant);
  const SeriesColumns wanted = ColumnsFor(identity.admin, service.engine.stats());
  json::object columns;
  const auto add = [&columns](std::string_view name, json::value value) {
    json::value& column = columns[name];
    if (column.is_null()) column.emplace_array();
    column.as_array().push_back(std::move(value));
  };
  for (const LedgerStep& step : account.Series(*span, Service::SecondsSince1970())) {
    ForEachColumn(step, wanted, add);
  }
  const json::object body = {{"span", *span == LedgerSpan::kTenMinutes ? "10m" : "24h"},
                             {"step_seconds", StepSeconds(*span)},
                             {"columns", std::move(columns)}};
  co_await exchange.SendJson(json::serialize(body));
}

}  // namespace reprise
