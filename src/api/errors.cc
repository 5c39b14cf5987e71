#include "api/errors.h"

#include <array>
#include <boost/json.hpp>

#include "base/check.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

struct Row {
  ErrorCode error;
  int status;
  const char* type;
  const char* code;  // empty: null
  int retry_after_s;
  int anthropic_status;
  const char* anthropic_type;
};

constexpr const char* kInvalidRequest = "invalid_request_error";  // with both vendors

// Clients retry 429 and 5xx by themselves, so only what may pass by waiting has such a status.
constexpr std::array kTable = {
    Row{ErrorCode::kInvalidArgument, 400, kInvalidRequest, "", 0, 400, kInvalidRequest},
    Row{ErrorCode::kContextLengthExceeded, 400, kInvalidRequest, "context_length_exceeded", 0, 400,
        kInvalidRequest},
    Row{ErrorCode::kNotFound, 404, kInvalidRequest, "not_found", 0, 404, "not_found_error"},
    Row{ErrorCode::kUnsupported, 400, kInvalidRequest, "unsupported_value", 0, 400,
        kInvalidRequest},
    Row{ErrorCode::kTooLarge, 413, kInvalidRequest, "request_too_large", 0, 413,
        "request_too_large"},
    Row{ErrorCode::kCorrupt, 500, "server_error", "", 0, 500, "api_error"},
    Row{ErrorCode::kUnauthorized, 401, kInvalidRequest, "invalid_api_key", 0, 401,
        "authentication_error"},
    Row{ErrorCode::kForbidden, 403, "permission_error", "admin_key_required", 0, 403,
        "permission_error"},
    Row{ErrorCode::kOverloaded, 429, "rate_limit_error", "overloaded", 1, 529, "overloaded_error"},
    Row{ErrorCode::kCancelled, 503, "server_error", "cancelled", 1, 529, "overloaded_error"},
    Row{ErrorCode::kIo, 500, "server_error", "", 0, 500, "api_error"},
    Row{ErrorCode::kInternal, 500, "server_error", "", 0, 500, "api_error"},
};

const Row& FindRow(ErrorCode code) {
  for (const Row& row : kTable) {
    if (row.error == code) return row;
  }
  CHECK(false, "every error code has a row in the table of statuses");
  return kTable.back();
}

// A message may quote what a client sent, a path for example, which need not be UTF-8.
std::string WholeCharacters(std::string_view text) {
  Detokenizer detokenizer;
  std::string whole = detokenizer.Push(text);
  return whole + detokenizer.Finish();
}

boost::json::value TextOrNull(const std::string& text) {
  if (text.empty()) return nullptr;
  return boost::json::value(text);
}

}  // namespace

Vendor VendorOf(std::string_view path) {
  constexpr std::string_view kMessages = "/v1/messages";
  const bool is = path.starts_with(kMessages) &&
                  (path.size() == kMessages.size() || path[kMessages.size()] == '/');
  return is ? Vendor::kAnthropic : Vendor::kOpenAi;
}

Fault ToFault(const Error& error) {
  const Row& row = FindRow(error.code);
  Fault fault{row.status,           row.type,          row.code,
              error.message,        error.param,       row.retry_after_s,
              row.anthropic_status, row.anthropic_type};
  // The vendor has a code of its own for this one, and clients look for it.
  if (error.code == ErrorCode::kNotFound && error.param == "model") fault.code = "model_not_found";
  return fault;
}

std::string OpenAiErrorBody(const Fault& fault) {
  const boost::json::object body = {{"error",
                                     {{"message", WholeCharacters(fault.message)},
                                      {"type", fault.type},
                                      {"param", TextOrNull(fault.param)},
                                      {"code", TextOrNull(fault.code)}}}};
  return boost::json::serialize(body);
}

std::string AnthropicErrorBody(const Fault& fault, const std::string& request_id) {
  const boost::json::object body = {
      {"type", "error"},
      {"error", {{"type", fault.anthropic_type}, {"message", WholeCharacters(fault.message)}}},
      {"request_id", TextOrNull(request_id)}};
  return boost::json::serialize(body);
}

HttpResponse FaultResponse(const Fault& fault, std::string_view path,
                           const std::string& request_id) {
  const bool anthropic = VendorOf(path) == Vendor::kAnthropic;
  HttpResponse response;
  response.status = anthropic ? fault.anthropic_status : fault.status;
  response.body = anthropic ? AnthropicErrorBody(fault, request_id) : OpenAiErrorBody(fault);
  if (fault.retry_after_s > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(fault.retry_after_s));
  }
  if (response.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace reprise
