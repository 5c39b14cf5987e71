#include "history/cache_diagnosis.h"

#include <algorithm>

#include "base/common_tokens.h"

namespace reprise {
namespace {

using Type = CacheMissReason::Type;

std::optional<Type> Change(const PastRequest& now, const PastRequest& before) {
  if (now.model_name != before.model_name) return Type::kModelChanged;
  const RequestFingerprint& a = now.fingerprint;
  const RequestFingerprint& b = before.fingerprint;
  if (a.tools != b.tools) return Type::kToolsChanged;
  if (a.system != b.system) return Type::kSystemChanged;
  const bool appended = b.messages.size() <= a.messages.size() &&
                        std::equal(b.messages.begin(), b.messages.end(), a.messages.begin());
  if (!appended) return Type::kMessagesChanged;
  return std::nullopt;
}

}  // namespace

std::optional<CacheMissReason> DiagnoseMiss(const History& history, const std::string& tenant,
                                            const std::string& previous_id,
                                            const PastRequest* request) {
  const PastRequest* previous = history.Find(previous_id);
  if (request == nullptr || previous == nullptr || previous == request ||
      previous->endpoint != request->endpoint || previous->reply_id != previous_id ||
      previous->tenant != tenant) {
    return CacheMissReason{Type::kPreviousMessageNotFound};
  }
  const PastPrompt& now = request->prompts.front();
  const PastPrompt& before = previous->prompts.front();
  const auto missed = [&now](size_t readable) {
    // The last token may have to be computed again, for the logits behind it.
    readable = std::min(readable, now.tokens.size() - 1);
    return readable - std::min(readable, now.read());
  };
  if (const std::optional<Type> change = Change(*request, *previous)) {
    return CacheMissReason{*change, missed(before.tokens.size())};
  }
  if (missed(CommonTokens(now.tokens, before.tokens)) > 0) return CacheMissReason{};
  return std::nullopt;
}

}  // namespace reprise
