#include "vendor/openai/errors.h"

#include <array>

#include "text/detokenizer.h"

namespace reprise {
namespace {

constexpr const char* kInvalidRequest = "invalid_request_error";

constexpr std::array kTable = {
    ErrorRow{ErrorCode::kInvalidArgument, 400, kInvalidRequest},
    ErrorRow{ErrorCode::kContextLengthExceeded, 400, kInvalidRequest, "context_length_exceeded"},
    ErrorRow{ErrorCode::kNotFound, 404, kInvalidRequest, "not_found"},
    ErrorRow{ErrorCode::kMethodNotAllowed, 405, kInvalidRequest, "method_not_allowed"},
    ErrorRow{ErrorCode::kUnsupported, 400, kInvalidRequest, "unsupported_value"},
    ErrorRow{ErrorCode::kTooLarge, 413, kInvalidRequest, "request_too_large"},
    ErrorRow{ErrorCode::kHeaderTooLarge, 431, kInvalidRequest, "header_too_large"},
    ErrorRow{ErrorCode::kUnsupportedMediaType, 415, kInvalidRequest, "unsupported_media_type"},
    ErrorRow{ErrorCode::kCorrupt, 500, "server_error"},
    ErrorRow{ErrorCode::kUnauthorized, 401, kInvalidRequest, "invalid_api_key"},
    ErrorRow{ErrorCode::kForbidden, 403, "permission_error", "admin_key_required"},
    ErrorRow{ErrorCode::kForeignOrigin, 403, "permission_error", "foreign_origin"},
    ErrorRow{ErrorCode::kOverloaded, 429, "rate_limit_error", "overloaded", 1},
    ErrorRow{ErrorCode::kCancelled, 503, "server_error", "cancelled", 1},
    ErrorRow{ErrorCode::kIo, 500, "server_error"},
    ErrorRow{ErrorCode::kInternal, 500, "server_error"},
};

}  // namespace

ErrorReply OpenAiError(const Error& error, const std::string& /*request_id*/) {
  const ErrorRow& row = FindErrorRow(kTable, error.code);
  // The vendor has a code of its own for this one, and clients look for it.
  const bool no_such_model = error.code == ErrorCode::kNotFound && error.param == "model";
  const boost::json::object body = {
      {"error",
       {{"message", ReplaceInvalidUtf8(error.message)},
        {"type", row.type},
        {"param", TextOrNull(error.param)},
        {"code", TextOrNull(no_such_model ? "model_not_found" : row.code)}}}};
  return {row.status, boost::json::serialize(body), row.retry_after_s};
}

}  // namespace reprise
