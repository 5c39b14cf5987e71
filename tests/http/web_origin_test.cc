#include "http/web_origin.h"

#include <gtest/gtest.h>

#include <map>

namespace reprise {
namespace {

bool Allowed(std::string host, std::optional<std::string> origin, const OriginPolicy& policy = {}) {
  HttpRequest head;
  head.host = std::move(host);
  head.origin = std::move(origin);
  const Status checked = CheckOrigin(head, policy);
  return checked || checked.error().code != ErrorCode::kForeignOrigin;
}

TEST(WebOriginTest, OnLoopbackOnlyNamesOfThisMachineAreServed) {
  for (const char* host : {"localhost", "LocalHost:8080", "127.0.0.1:8080", "[::1]:8080",
                           "10.0.0.3", "reprise.localhost:8080", ""}) {
    EXPECT_TRUE(Allowed(host, std::nullopt)) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example:8080", "evil-localhost"}) {
    EXPECT_FALSE(Allowed(host, std::nullopt)) << host;
  }
  EXPECT_TRUE(Allowed("Box.lan:8080", std::nullopt, {.hosts = {"box.lan"}}));
  EXPECT_FALSE(Allowed("other.lan", std::nullopt, {.hosts = {"box.lan"}}));
  EXPECT_TRUE(Allowed("any.lan", std::nullopt, {.loopback = false}));
  EXPECT_FALSE(Allowed("any.lan", std::nullopt, {.loopback = false, .hosts = {"box.lan"}}));
}

TEST(WebOriginTest, PagesOfOtherOriginsNeedToBeAllowed) {
  EXPECT_TRUE(Allowed("localhost:8080", "http://localhost:8080"));
  for (const char* origin : {"http://localhost:3000", "https://evil.example", "null", "",
                             "http://localhost:8080.evil.example", "app://notes"}) {
    EXPECT_FALSE(Allowed("localhost:8080", origin)) << origin;
    EXPECT_TRUE(Allowed("localhost:8080", origin, {.origins = {"*"}})) << origin;
  }
  const OriginPolicy policy = {.origins = {"https://chat.example"}};
  EXPECT_TRUE(Allowed("localhost", "https://chat.example", policy));
  EXPECT_FALSE(Allowed("localhost", "http://chat.example", policy));
}

TEST(WebOriginTest, ABrowserIsToldWhatThePageMay) {
  HttpRequest request;
  EXPECT_TRUE(CorsHeaders(request).empty()) << "no page asks";
  request.origin = "https://chat.example";
  const auto plain = CorsHeaders(request);
  const std::map<std::string, std::string> headers(plain.begin(), plain.end());
  EXPECT_EQ(headers.at("Access-Control-Allow-Origin"), "https://chat.example");
  EXPECT_EQ(headers.at("Vary"), "Origin");
  EXPECT_FALSE(headers.contains("Access-Control-Allow-Headers"));
  request.preflight = true;
  request.preflight_headers = "authorization,content-type";
  const auto asked = CorsHeaders(request);
  const std::map<std::string, std::string> preflight(asked.begin(), asked.end());
  EXPECT_EQ(preflight.at("Access-Control-Allow-Headers"), "authorization,content-type");
  EXPECT_EQ(preflight.at("Access-Control-Allow-Methods"), "GET, POST, DELETE");
  request.refusal = Error{ErrorCode::kUnauthorized, "", ""};
  EXPECT_FALSE(CorsHeaders(request).empty()) << "the page may see that its key is wrong";
  request.refusal = Error{ErrorCode::kForeignOrigin, "", ""};
  EXPECT_TRUE(CorsHeaders(request).empty());
}

}  // namespace
}  // namespace reprise
