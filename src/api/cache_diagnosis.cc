#include "api/cache_diagnosis.h"

#include <algorithm>
#include <utility>

#include "base/common_tokens.h"

namespace reprise {
namespace json = boost::json;
namespace {

using Type = CacheMissReason::Type;

const char* Name(Type type) {
  switch (type) {
    case Type::kModelChanged:
      return "model_changed";
    case Type::kToolsChanged:
      return "tools_changed";
    case Type::kSystemChanged:
      return "system_changed";
    case Type::kMessagesChanged:
      return "messages_changed";
    case Type::kPreviousMessageNotFound:
      return "previous_message_not_found";
    case Type::kUnavailable:
      break;
  }
  return "unavailable";
}

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

std::optional<CacheMissReason> DiagnoseMiss(const History& history, const Call& call,
                                            const PastRequest* request) {
  if (!call.diagnostics || !call.diagnostics->previous_message_id) return std::nullopt;
  const std::string& id = *call.diagnostics->previous_message_id;
  const PastRequest* previous = history.Find(id);
  if (request == nullptr || previous == nullptr || previous == request ||
      previous->endpoint != Endpoint::kMessages || previous->reply_id != id ||
      previous->tenant != call.tenant) {
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

json::value DiagnosticsJson(const std::optional<CacheMissReason>& reason) {
  if (!reason) return nullptr;
  json::object shown = {{"type", Name(reason->type)}};
  if (reason->type != Type::kPreviousMessageNotFound && reason->type != Type::kUnavailable) {
    shown["cache_missed_input_tokens"] = reason->missed_tokens;
  }
  return json::object{{"cache_miss_reason", std::move(shown)}};
}

}  // namespace reprise
