#include "api/history_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <utility>

#include "api/shown_time.h"
#include "base/limits.h"
#include "history/divergence.h"
#include "history/history.h"
#include "history/miss_report.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

using State = PastRequest::State;

const char* Name(State state) {
  switch (state) {
    case State::kQueued:
      return "queued";
    case State::kComputing:
      return "computing";
    case State::kFinished:
      return "finished";
    case State::kFailed:
      return "failed";
    case State::kCancelled:
      break;
  }
  return "cancelled";
}

// What of the history the asker may see, and its words.
class Page {
 public:
  Page(const Service& service, const Identity& asker)
      : history_(service.history),
        tokenizer_(*service.model.tokenizer),
        asker_(asker),
        now_(std::chrono::system_clock::now()) {}

  bool MaySee(const PastRequest& request) const {
    return asker_.admin || request.tenant == asker_.tenant;
  }

  json::object Summary(const PastRequest& request) const {
    json::object shown = {{"id", request.request_id},
                          {"reply_id", request.reply_id},
                          {"endpoint", request.endpoint},
                          {"model", request.model_name},
                          {"state", Name(request.state)}};
    AddTime(request.time, now_, shown);
    if (asker_.admin) shown["tenant"] = request.tenant;
    size_t total = 0;
    for (const PastPrompt& prompt : request.prompts) total += prompt.tokens.size();
    shown["tokens"] = Tokens(total, request.usage());
    shown["generated"] = request.generated();
    shown["first_token_ms"] = nullptr;
    if (request.first_token_ms) shown["first_token_ms"] = *request.first_token_ms;
    shown["saved_ms"] = request.saved_seconds() * 1000;
    return shown;
  }

  json::object Details(const PastRequest& request) const {
    json::object shown = Summary(request);
    json::array prompts;
    for (size_t i = 0; i < request.prompts.size(); ++i) prompts.push_back(Prompt(request, i));
    shown["prompts"] = std::move(prompts);
    return shown;
  }

 private:
  static json::object Tokens(size_t total, const Usage& usage) {
    return {{"total", total},
            {"read", usage.read},
            {"written", usage.write()},
            {"computed", usage.total - usage.read}};
  }

  json::object Prompt(const PastRequest& request, size_t index) const {
    const PastPrompt& prompt = request.prompts[index];
    json::object shown;
    shown["tokens"] = Tokens(prompt.tokens.size(), prompt.usage());
    shown["parts"] = Parts(prompt);
    shown["parts_total"] = prompt.part_spans.size();
    shown["closest"] = nullptr;
    shown["first_difference"] = nullptr;
    shown["why"] = nullptr;
    if (!prompt.started) return shown;  // not looked up yet
    const Seen seen = asker_.admin ? Seen::kAllTenants : Seen::kOwnTenant;
    const MissReport report = ExplainMiss(history_, request, index, seen);
    shown["why"] = Why(report, request, prompt);
    if (report.closest == nullptr) return shown;
    const PastRequest& closest = *report.closest;
    json::object other = {{"id", closest.request_id},
                          {"reply_id", closest.reply_id},
                          {"prompt", report.closest_prompt},
                          {"state", Name(closest.state)},
                          {"shared_tokens", report.shared}};
    AddTime(closest.time, now_, other);
    if (asker_.admin) other["tenant"] = closest.tenant;
    shown["closest"] = std::move(other);
    shown["first_difference"] = Difference(prompt, closest.prompts[report.closest_prompt]);
    return shown;
  }

  // Where each part begins, the template's words before it included.
  json::array Parts(const PastPrompt& prompt) const {
    json::array parts;
    size_t token = 0;
    size_t token_end = 0;  // of the tokens before `token`, in bytes of the decoded prompt
    size_t part_begin = 0;
    for (const PartSpan& part_span : prompt.part_spans) {
      if (parts.size() == limits::kMaxShownParts) break;
      while (token < prompt.tokens.size()) {
        const size_t end = token_end + tokenizer_.Piece(prompt.tokens[token]).size();
        if (end > part_begin) break;
        token_end = end;
        ++token;
      }
      parts.push_back({{"part", ToText(part_span.name)}, {"token", token}});
      part_begin = part_span.text_end;
    }
    return parts;
  }

  json::value Difference(const PastPrompt& ours, const PastPrompt& theirs) const {
    const std::optional<Divergence> place = FindDivergence(ours, theirs, tokenizer_);
    if (!place) return nullptr;
    const auto side = [](const Divergence::Side& of) {
      return json::object{
          {"part", ToText(of.part)}, {"offset", of.offset}, {"excerpt", of.excerpt}};
    };
    return json::object{{"token", place->token},
                        {"part", ToText(PartOf(*place))},
                        {"this", side(place->ours)},
                        {"closest", side(place->theirs)}};
  }

  json::object Why(const MissReport& report, const PastRequest& request,
                   const PastPrompt& prompt) const {
    json::object why = {{"reason", ToText(report.outcome)}};
    if (report.loss) {
      AddTime(*prompt.looked_up - std::chrono::duration_cast<WallTime::duration>(report.loss->ago),
              now_, why);
    }
    if (report.outcome == ReuseOutcome::kNoSnapshot) {
      why["known"] = prompt.started->known_tokens;
      why["snapshot_at"] = report.read;
    }
    if (report.outcome == ReuseOutcome::kEvicted) why["for"] = EvictedFor(*report.loss, request);
    if (report.outcome == ReuseOutcome::kHit || !prompt.started) return why;
    for (const TierKind kind : kTierKinds) {
      const TierMiss missed = prompt.started->missed[kind];
      if (IsTelling(missed)) why[ToText(kind)] = ToText(missed);
    }
    return why;
  }

  json::value EvictedFor(const CacheLoss& loss, const PastRequest& request) const {
    const PastRequest* taker = history_.FindSequence(loss.for_whom);
    if (taker == nullptr) return nullptr;
    if (asker_.admin || taker->tenant == request.tenant) return json::value(taker->request_id);
    return "another tenant's request";
  }

  const History& history_;
  const Tokenizer& tokenizer_;
  const Identity& asker_;
  const WallTime now_;
};

}  // namespace

json::object RequestSummary(const PastRequest& request, const Service& service,
                            const Identity& asker) {
  return Page(service, asker).Summary(request);
}

asio::awaitable<void> HandlePastRequests(Exchange& exchange) {
  const Page page(exchange.service, exchange.identity);
  json::array requests;
  const auto add = [&](const PastRequest& request) {
    if (requests.size() < limits::kMaxShownRequests) requests.push_back(page.Summary(request));
  };
  if (exchange.identity.admin) {
    exchange.service.history.ForEach(add);
  } else {
    exchange.service.history.ForEachOf(exchange.identity.tenant, add);
  }
  const json::object body = {{"requests", std::move(requests)}};
  co_await exchange.SendJson(json::serialize(body));
}

asio::awaitable<void> HandlePastRequest(Exchange& exchange) {
  const std::string_view id =
      std::string_view(exchange.request.path).substr(std::string_view("/cache/requests/").size());
  const Page page(exchange.service, exchange.identity);
  const PastRequest* request = exchange.service.history.Find(id);
  if (request == nullptr || !page.MaySee(*request)) {
    Error error{ErrorCode::kNotFound, fmt::format("There is no request '{}' in the history.", id),
                ""};
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  co_await exchange.SendJson(json::serialize(page.Details(*request)));
}

}  // namespace reprise
