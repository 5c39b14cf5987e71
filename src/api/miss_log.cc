#include "api/miss_log.h"

#include <fmt/format.h>

#include <string>

#include "base/limits.h"
#include "base/log.h"
#include "history/history.h"
#include "history/miss_report.h"

namespace reprise {
namespace {

// The part that a token belongs to.
PartName PartAt(const PastPrompt& prompt, size_t token, const Tokenizer& tokenizer) {
  size_t bytes = 0;
  for (size_t i = 0; i < token; ++i) bytes += tokenizer.Piece(prompt.tokens[i]).size();
  return PlaceOf(prompt.part_spans, bytes).name;
}

std::string Reason(const History& history, const MissReport& report) {
  std::string reason(ToText(report.outcome));
  if (report.outcome == ReuseOutcome::kNoSnapshot) {
    return report.read == 0 ? reason + " of the model's state before that"
                            : fmt::format("{} after the one at token {}", reason, report.read);
  }
  if (!report.loss) return reason;
  reason +=
      fmt::format(" {:.1f} s before", std::chrono::duration<double>(report.loss->ago).count());
  if (report.outcome != ReuseOutcome::kEvicted) return reason;
  const PastRequest* taker = history.FindSequence(report.loss->for_whom);
  return taker == nullptr ? reason : fmt::format("{} for {}", reason, taker->request_id);
}

// Why the stores below memory did not have it either: "; disk: evicted".
std::string Below(const PastPrompt& prompt) {
  std::string text;
  if (!prompt.started) return text;
  for (const TierKind kind : kTierKinds) {
    const TierMiss missed = prompt.started->missed[kind];
    if (IsTelling(missed)) text += fmt::format("; {}: {}", ToText(kind), ToText(missed));
  }
  return text;
}

}  // namespace

void NoteReason(Service& service, uint64_t number, size_t prompt) {
  const PastRequest* request = service.history.Find(number);
  if (request == nullptr) return;
  const PastPrompt& own = request->prompts.at(prompt);
  if (own.read() == own.tokens.size()) {  // no need to look for whom it shares that with
    service.history.NoteReason(number, prompt, {ReuseOutcome::kHit, {}});
    return;
  }
  const MissReport report = ExplainMiss(service.history, *request, prompt, Seen::kOwnTenant);
  const Tokenizer& tokenizer = *service.model.tokenizer;
  NotedReason reason{report.outcome, {}};
  if (report.shared < own.tokens.size()) reason.new_from = PartAt(own, report.shared, tokenizer);
  service.history.NoteReason(number, prompt, reason);
  if (own.tokens.size() < own.read() + limits::kMissLogTokens) return;
  if (report.outcome == ReuseOutcome::kHit) return;
  const std::string below = Below(own);
  if (report.outcome == ReuseOutcome::kNothingShared) {
    if (!below.empty()) LogInfo("{} read {} tokens{}", request->request_id, report.read, below);
    return;
  }
  LogInfo("{} shares {} tokens with {} and read {}, up to {}: {}{}", request->request_id,
          report.shared, report.closest->request_id, report.read,
          ToText(PartAt(own, report.read, tokenizer)), Reason(service.history, report), below);
}

}  // namespace reprise
