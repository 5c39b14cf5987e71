#pragma once

// How an Error looks on the wire: what each vendor's table of errors makes of it. Values; any
// thread.

#include <boost/json.hpp>
#include <span>
#include <string>

#include "base/error.h"

namespace reprise {

struct ErrorReply {
  int status = 500;       // of HTTP
  std::string body;       // JSON in one line, also the data of an event in mid-stream
  int retry_after_s = 0;  // header Retry-After when positive
};

// One row of a vendor's table. Clients retry 429 and 5xx by themselves, so only what may pass by
// waiting has such a status.
struct ErrorRow {
  ErrorCode error;
  int status;
  const char* type;
  const char* code = "";  // where the vendor has codes; empty: null
  int retry_after_s = 0;
};

// REQUIRES: the table has a row for every ErrorCode.
const ErrorRow& FindErrorRow(std::span<const ErrorRow> table, ErrorCode code);

// null when empty.
boost::json::value TextOrNull(const std::string& text);

}  // namespace reprise
