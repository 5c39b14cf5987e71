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
};

// Clients retry 429 and 5xx by themselves, so only what may pass by waiting has such a status.
constexpr std::array kTable = {
    Row{ErrorCode::kInvalidArgument, 400, "invalid_request_error", "", 0},
    Row{ErrorCode::kContextLengthExceeded, 400, "invalid_request_error", "context_length_exceeded",
        0},
    Row{ErrorCode::kNotFound, 404, "invalid_request_error", "not_found", 0},
    Row{ErrorCode::kUnsupported, 400, "invalid_request_error", "unsupported_value", 0},
    Row{ErrorCode::kTooLarge, 413, "invalid_request_error", "request_too_large", 0},
    Row{ErrorCode::kCorrupt, 500, "server_error", "", 0},
    Row{ErrorCode::kUnauthorized, 401, "invalid_request_error", "invalid_api_key", 0},
    Row{ErrorCode::kOverloaded, 429, "rate_limit_error", "overloaded", 1},
    Row{ErrorCode::kCancelled, 503, "server_error", "cancelled", 1},
    Row{ErrorCode::kIo, 500, "server_error", "", 0},
    Row{ErrorCode::kInternal, 500, "server_error", "", 0},
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

Fault ToFault(const Error& error) {
  const Row& row = FindRow(error.code);
  Fault fault{row.status, row.type, row.code, error.message, error.param, row.retry_after_s};
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

HttpResponse FaultResponse(const Fault& fault) {
  HttpResponse response;
  response.status = fault.status;
  response.body = OpenAiErrorBody(fault);
  if (fault.retry_after_s > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(fault.retry_after_s));
  }
  return response;
}

}  // namespace reprise
