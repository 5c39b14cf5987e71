#include "vendor/anthropic/errors.h"

#include <array>

#include "text/detokenizer.h"

namespace reprise {
namespace {

constexpr const char* kInvalidRequest = "invalid_request_error";

constexpr std::array kTable = {
    ErrorRow{ErrorCode::kInvalidArgument, 400, kInvalidRequest},
    ErrorRow{ErrorCode::kContextLengthExceeded, 400, kInvalidRequest},
    ErrorRow{ErrorCode::kNotFound, 404, "not_found_error"},
    ErrorRow{ErrorCode::kMethodNotAllowed, 405, kInvalidRequest},
    ErrorRow{ErrorCode::kUnsupported, 400, kInvalidRequest},
    ErrorRow{ErrorCode::kTooLarge, 413, "request_too_large"},
    ErrorRow{ErrorCode::kHeaderTooLarge, 431, kInvalidRequest},
    ErrorRow{ErrorCode::kUnsupportedMediaType, 415, kInvalidRequest},
    ErrorRow{ErrorCode::kCorrupt, 500, "api_error"},
    ErrorRow{ErrorCode::kUnauthorized, 401, "authentication_error"},
    ErrorRow{ErrorCode::kForbidden, 403, "permission_error"},
    ErrorRow{ErrorCode::kForeignOrigin, 403, "permission_error"},
    ErrorRow{ErrorCode::kOverloaded, 529, "overloaded_error", "", 1},
    ErrorRow{ErrorCode::kCancelled, 529, "overloaded_error", "", 1},
    ErrorRow{ErrorCode::kIo, 500, "api_error"},
    ErrorRow{ErrorCode::kInternal, 500, "api_error"},
};

}  // namespace

ErrorReply AnthropicError(const Error& error, const std::string& request_id) {
  const ErrorRow& row = FindErrorRow(kTable, error.code);
  const boost::json::object body = {
      {"type", "error"},
      {"error", {{"type", row.type}, {"message", ReplaceInvalidUtf8(error.message)}}},
      {"request_id", TextOrNull(request_id)}};
  return {row.status, boost::json::serialize(body), row.retry_after_s};
}

}  // namespace reprise
