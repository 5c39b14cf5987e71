// The tables of statuses, and whose shape an error has.

#include "api/error_response.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <utility>

#include "api/routes.h"
#include "vendor/anthropic/endpoints.h"
#include "vendor/openai/endpoints.h"

namespace reprise {
namespace {

namespace json = boost::json;

TEST(ErrorsTest, EveryCodeHasItsStatusAndShapeWithBothVendors) {
  struct Row {
    ErrorCode code;
    int status;
    const char* type;
    const char* shown;  // null: null
    int anthropic_status;
    const char* anthropic_type;
  };
  const Row rows[] = {
      {ErrorCode::kInvalidArgument, 400, "invalid_request_error", nullptr, 400,
       "invalid_request_error"},
      {ErrorCode::kContextLengthExceeded, 400, "invalid_request_error", "context_length_exceeded",
       400, "invalid_request_error"},
      {ErrorCode::kNotFound, 404, "invalid_request_error", "not_found", 404, "not_found_error"},
      {ErrorCode::kUnsupported, 400, "invalid_request_error", "unsupported_value", 400,
       "invalid_request_error"},
      {ErrorCode::kTooLarge, 413, "invalid_request_error", "request_too_large", 413,
       "request_too_large"},
      {ErrorCode::kCorrupt, 500, "server_error", nullptr, 500, "api_error"},
      {ErrorCode::kUnauthorized, 401, "invalid_request_error", "invalid_api_key", 401,
       "authentication_error"},
      {ErrorCode::kForbidden, 403, "permission_error", "admin_key_required", 403,
       "permission_error"},
      {ErrorCode::kMethodNotAllowed, 405, "invalid_request_error", "method_not_allowed", 405,
       "invalid_request_error"},
      {ErrorCode::kHeaderTooLarge, 431, "invalid_request_error", "header_too_large", 431,
       "invalid_request_error"},
      {ErrorCode::kUnsupportedMediaType, 415, "invalid_request_error", "unsupported_media_type",
       415, "invalid_request_error"},
      {ErrorCode::kForeignOrigin, 403, "permission_error", "foreign_origin", 403,
       "permission_error"},
      {ErrorCode::kOverloaded, 429, "rate_limit_error", "overloaded", 529, "overloaded_error"},
      {ErrorCode::kCancelled, 503, "server_error", "cancelled", 529, "overloaded_error"},
      {ErrorCode::kIo, 500, "server_error", nullptr, 500, "api_error"},
      {ErrorCode::kInternal, 500, "server_error", nullptr, 500, "api_error"},
  };
  for (const Row& row : rows) {
    const Error error{row.code, "Why.", "field"};
    const HttpResponse openai = ErrorResponse(error, "/v1/chat/completions", "req_1");
    EXPECT_EQ(openai.status, row.status);
    const json::value body = json::parse(openai.body);
    EXPECT_EQ(body.at("error").at("type"), row.type);
    EXPECT_EQ(body.at("error").at("message"), "Why.");
    EXPECT_EQ(body.at("error").at("param"), "field");
    EXPECT_EQ(body.at("error").at("code"),
              row.shown != nullptr ? json::value(row.shown) : json::value(nullptr));
    const HttpResponse anthropic = ErrorResponse(error, "/v1/messages/count_tokens", "req_1");
    EXPECT_EQ(anthropic.status, row.anthropic_status);
    EXPECT_EQ(json::parse(anthropic.body),
              (json::object{{"type", "error"},
                            {"error", {{"type", row.anthropic_type}, {"message", "Why."}}},
                            {"request_id", "req_1"}}));
  }
}

TEST(ErrorsTest, AMissingModelHasACodeOfItsOwn) {
  const HttpResponse response =
      ErrorResponse({ErrorCode::kNotFound, "", "model"}, "/v1/chat/completions", "");
  EXPECT_EQ(json::parse(response.body).at("error").at("code"), "model_not_found");
}

TEST(ErrorsTest, WhatMayPassByWaitingSaysWhenToAskAgain) {
  const auto headers = ErrorResponse({ErrorCode::kOverloaded, "", ""}, "", "").headers;
  EXPECT_EQ(std::ranges::count(headers, std::pair<std::string, std::string>("Retry-After", "1")),
            1);
}

TEST(ErrorsTest, AVendorsPathsAreItsRootAndAllBelowIt) {
  EXPECT_EQ(&WireFormOf("/v1/messages"), &kAnthropic);
  EXPECT_EQ(&WireFormOf("/v1/messages/count_tokens"), &kAnthropic);
  EXPECT_EQ(&WireFormOf("/v1/messages_of_mine"), &kOpenAi);
  EXPECT_EQ(&WireFormOf(""), &kOpenAi);
}

}  // namespace
}  // namespace reprise
