#pragma once

// Anthropic's `diagnostics.cache_miss_reason`: how a request differs from the one that the client
// names as its previous. Shapes: the vendor's client, types/diagnostics.py and cache_miss_*.py.
//
// Compared are the model's name, then what is rendered, in that order: tools, system, messages. A
// request that only appends messages has not changed. Pure functions; whoever holds the history.

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "api/history.h"

namespace reprise {

struct CacheMissReason {
  enum class Type : uint8_t {
    kModelChanged,
    kToolsChanged,
    kSystemChanged,
    kMessagesChanged,
    kPreviousMessageNotFound,  // or another tenant's: it is not told which
    kUnavailable,              // nothing changed, and yet not all was read: it is cached no more
  };
  Type type = Type::kUnavailable;
  // Of the first four: what of the previous prompt's tokens would have been read besides what was,
  // had nothing changed.
  size_t missed_tokens = 0;

  bool operator==(const CacheMissReason&) const = default;
};

// nullopt when there is nothing to compare, or the previous request's prefix was read.
// `request` was begun for `call` (nullptr if the history is off) and has been looked up.
std::optional<CacheMissReason> DiagnoseMiss(const History& history, const Call& call,
                                            const PastRequest* request);

// {"cache_miss_reason": {…}}, or null.
boost::json::value DiagnosticsJson(const std::optional<CacheMissReason>& reason);

}  // namespace reprise
