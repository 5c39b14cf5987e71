#include "http/authentication.h"

#include <optional>
#include <string_view>

#include "base/ascii.h"
#include "base/sha256.h"

namespace reprise {
namespace {

bool IsOpen(const HttpRequest& head) {
  return (head.method == "GET" || head.method == "HEAD") &&
         (head.path == "/" || head.path == "/health" || head.path.starts_with("/page/"));
}

// What follows the scheme; empty with another scheme, whose credentials are somebody else's matter.
std::string_view BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer";
  const size_t space = authorization.find(' ');
  if (!EqualsIgnoringCase(authorization.substr(0, space), kScheme)) return {};
  const size_t begin = authorization.find_first_not_of(' ', kScheme.size());
  return begin == authorization.npos ? std::string_view() : authorization.substr(begin);
}

Sha256 HashOf(std::string_view text) { return Sha256Hasher().Add(text).Finish(); }

std::unexpected<Error> Refuse(const char* why) { return Fail(ErrorCode::kUnauthorized, why); }

}  // namespace

bool ShowsFleetToken(const HttpRequest& head, const std::string& token) {
  if (token.empty() || head.path != "/cache/events") return false;
  if (head.method != "GET" && head.method != "HEAD") return false;
  const Sha256 wanted = HashOf(token);
  bool shown = false;
  for (const std::string& field : head.credentials.authorizations) {
    shown |= SameInConstantTime(HashOf(BearerToken(field)), wanted);
  }
  return shown;
}

Result<Identity> Authenticate(const HttpRequest& head, const ApiKeys* keys) {
  if (keys == nullptr) return Identity{};
  if (IsOpen(head) || head.preflight) return Identity{.tenant = {}, .admin = false};

  std::string_view key;
  bool agree = true;
  const auto present = [&](std::string_view presented) {
    agree = agree && (key.empty() || presented.empty() || presented == key);
    if (!presented.empty()) key = presented;
  };
  for (const std::string& field : head.credentials.api_keys) present(field);
  for (const std::string& field : head.credentials.authorizations) present(BearerToken(field));
  if (key.empty()) {
    return Refuse("An API key is needed, in x-api-key or as Authorization: Bearer.");
  }
  if (!agree) return Refuse("The header names two different API keys.");
  std::optional<Identity> identity = keys->Find(key);
  if (!identity) return Refuse("The API key is not valid.");
  return *std::move(identity);
}

}  // namespace reprise
