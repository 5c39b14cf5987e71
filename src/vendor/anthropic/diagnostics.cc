#include "vendor/anthropic/diagnostics.h"

#include <utility>

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

}  // namespace

json::value DiagnosticsJson(const std::optional<CacheMissReason>& reason) {
  if (!reason) return nullptr;
  json::object shown = {{"type", Name(reason->type)}};
  if (reason->type != Type::kPreviousMessageNotFound && reason->type != Type::kUnavailable) {
    shown["cache_missed_input_tokens"] = reason->missed_tokens;
  }
  return json::object{{"cache_miss_reason", std::move(shown)}};
}

}  // namespace reprise
