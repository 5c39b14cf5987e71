#include "api/history_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <utility>

#include "api/prompt_page.h"
#include "api/shown_time.h"
#include "base/limits.h"
#include "history/advice.h"
#include "history/divergence.h"
#include "history/history.h"
#include "history/miss_report.h"
#include "history/prompt_change.h"

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
        minimum_tokens_(service.model.policy.cache_minimum_tokens),
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
    AddReason(request, shown);
    return shown;
  }

  json::object Details(const PastRequest& request, std::optional<WantedText> wanted) const {
    json::object shown = Summary(request);
    json::array prompts;
    for (size_t i = 0; i < request.prompts.size(); ++i) {
      prompts.push_back(Prompt(request, i, wanted));
    }
    shown["prompts"] = std::move(prompts);
    return shown;
  }

 private:
  // Of the prompt of which most was computed.
  static void AddReason(const PastRequest& request, json::object& into) {
    into["reason"] = nullptr;
    into["new_from"] = nullptr;
    const auto computed = [](const PastPrompt& prompt) {
      return prompt.reason ? 1 + prompt.tokens.size() - prompt.read() : 0;
    };
    const PastPrompt& most = *std::ranges::max_element(request.prompts, {}, computed);
    if (!most.reason) return;
    into["reason"] = ToText(most.reason->outcome);
    if (most.reason->new_from) into["new_from"] = ToText(*most.reason->new_from);
  }

  static json::object Tokens(size_t total, const Usage& usage) {
    return {{"total", total},
            {"read", usage.read},
            {"written", usage.write()},
            {"computed", usage.total - usage.read}};
  }

  json::object Prompt(const PastRequest& request, size_t index,
                      std::optional<WantedText>& wanted) const {
    const PastPrompt& prompt = request.prompts[index];
    json::object shown;
    shown["tokens"] = Tokens(prompt.tokens.size(), prompt.usage());
    const DecodedPrompt decoded(prompt, tokenizer_);
    shown["parts"] = ShowParts(decoded);
    shown["parts_total"] = prompt.part_spans.size();
    shown["closest"] = nullptr;
    shown["first_difference"] = nullptr;
    shown["why"] = nullptr;
    shown["explanation"] = nullptr;
    if (wanted) AddText(decoded, index, *wanted, shown);
    if (!prompt.started) return shown;  // not looked up yet
    const Seen seen = asker_.admin ? Seen::kAllTenants : Seen::kOwnTenant;
    const MissReport report = ExplainMiss(history_, request, index, seen);
    shown["why"] = Why(report, request, prompt);
    if (report.closest == nullptr) {
      shown["explanation"] = Explained(report, request, prompt, {});
      return shown;
    }
    const PastRequest& closest = *report.closest;
    json::object other = {{"id", closest.request_id},
                          {"reply_id", closest.reply_id},
                          {"prompt", report.closest_prompt},
                          {"state", Name(closest.state)},
                          {"shared_tokens", report.shared}};
    AddTime(closest.time, now_, other);
    if (asker_.admin) other["tenant"] = closest.tenant;
    shown["closest"] = std::move(other);
    const DecodedPrompt theirs(closest.prompts[report.closest_prompt], tokenizer_);
    std::optional<PromptChange> change;
    if (const auto place = FindDivergence(decoded, theirs)) {
      change = FindChange(decoded, theirs, *place);
      shown["first_difference"] = ShowDifference(decoded.text, theirs.text, *place, *change);
    }
    shown["explanation"] = Explained(report, request, prompt, std::move(change));
    return shown;
  }

  json::object Explained(const MissReport& report, const PastRequest& request,
                         const PastPrompt& prompt, std::optional<PromptChange> change) const {
    const ExplainedPrompt explained{.request = request,
                                    .prompt = prompt,
                                    .report = report,
                                    .change = std::move(change),
                                    .taker = TakerOf(report, request),
                                    .minimum_tokens = minimum_tokens_};
    Explanation explanation = Explain(explained);
    json::object shown = {{"what", std::move(explanation.what)}, {"advice", nullptr}};
    if (explanation.advice) shown["advice"] = *explanation.advice;
    shown["moved_tokens"] = explained.change ? explained.change->moved_tokens : 0;
    return shown;
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
    if (report.outcome == ReuseOutcome::kEvicted) why["for"] = Show(TakerOf(report, request));
    if (report.outcome == ReuseOutcome::kHit || !prompt.started) return why;
    for (const TierKind kind : kTierKinds) {
      const TierMiss missed = prompt.started->missed[kind];
      if (IsTelling(missed)) why[ToText(kind)] = ToText(missed);
    }
    return why;
  }

  RoomTaker TakerOf(const MissReport& report, const PastRequest& request) const {
    if (report.outcome != ReuseOutcome::kEvicted) return {};
    const PastRequest* taker = history_.FindSequence(report.loss->for_whom);
    if (taker == nullptr) return {};
    if (!asker_.admin && taker->tenant != request.tenant) {
      return {RoomTaker::Who::kAnotherTenant, ""};
    }
    return {RoomTaker::Who::kRequest, taker->request_id};
  }

  static json::value Show(const RoomTaker& taker) {
    switch (taker.who) {
      case RoomTaker::Who::kRequest:
        return json::value(taker.request_id);
      case RoomTaker::Who::kAnotherTenant:
        return "another tenant's request";
      case RoomTaker::Who::kUnknown:
        break;
    }
    return nullptr;
  }

  const History& history_;
  const Tokenizer& tokenizer_;
  const size_t minimum_tokens_;
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
  const Result<std::optional<WantedText>> wanted = ReadWantedText(exchange.request.query);
  if (!wanted) {
    co_await exchange.SendError(wanted.error());
    co_return;
  }
  co_await exchange.SendJson(json::serialize(page.Details(*request, *wanted)));
}

}  // namespace reprise
