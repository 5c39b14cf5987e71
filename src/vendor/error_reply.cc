#include "vendor/error_reply.h"

#include "base/check.h"

namespace reprise {

const ErrorRow& FindErrorRow(std::span<const ErrorRow> table, ErrorCode code) {
  for (const ErrorRow& row : table) {
    if (row.error == code) return row;
  }
  CHECK(false, "every error code has a row in the table of statuses");
  return table.back();
}

boost::json::value TextOrNull(const std::string& text) {
  if (text.empty()) return nullptr;
  return boost::json::value(text);
}

}  // namespace reprise
