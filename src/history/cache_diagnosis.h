#pragma once

// How a request differs from the one that the client names as its previous, as data: what Anthropic
// calls `diagnostics.cache_miss_reason`.
//
// Compared are the model's name, then what is rendered, in that order: tools, system, messages. A
// request that only appends messages has not changed. Pure functions; whoever holds the history.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "history/history.h"

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

// nullopt when the previous request's prefix was read. `previous_id` is the id of its reply, on the
// same endpoint; `request` was begun by this tenant (nullptr if the history is off) and has been
// looked up.
std::optional<CacheMissReason> DiagnoseMiss(const History& history, const std::string& tenant,
                                            const std::string& previous_id,
                                            const PastRequest* request);

}  // namespace reprise
