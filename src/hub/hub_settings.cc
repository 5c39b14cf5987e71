#include "hub/hub_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "base/ascii.h"

namespace reprise {
namespace {

// The first of these that is set to something.
std::string FirstOf(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const auto value = environment(name); value && !value->empty()) return *value;
  }
  return {};
}

bool IsTrue(std::string_view value) {
  const std::string lower = Lowercase(value);
  return lower == "1" || lower == "on" || lower == "yes" || lower == "true";
}

// `~/…` is meant from the home folder, as the hub's tools read it.
std::string FromHome(std::string path, const std::string& home) {
  return path.starts_with("~/") && !home.empty() ? home + path.substr(1) : path;
}

Status ReadToken(const Environment& environment, const std::string& hub_home,
                 const std::string& home, HubSettings& settings) {
  constexpr size_t kMaxTokenBytes = 4096;
  settings.token_source = "HF_TOKEN";
  std::string text = FirstOf(environment, {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"});
  if (text.empty()) {
    std::string path = FromHome(FirstOf(environment, {"HF_TOKEN_PATH"}), home);
    if (path.empty()) path = hub_home + "/token";
    settings.token_source = path;
    text.resize(kMaxTokenBytes + 1);
    std::ifstream file(path, std::ios::binary);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  }
  settings.token = Trimmed(text);
  const bool printable =
      std::ranges::all_of(settings.token, [](char c) { return c > ' ' && c <= '~'; });
  if (printable && settings.token.size() <= kMaxTokenBytes) return {};
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("the hub's token in {} is no token", settings.token_source));
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

Result<HubSettings> ReadHubSettings(const Environment& environment) {
  HubSettings settings;
  if (std::string endpoint(Trimmed(FirstOf(environment, {"HF_ENDPOINT"}))); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    settings.endpoint = std::move(endpoint);
  }
  if (!settings.endpoint.starts_with("https://") && !settings.endpoint.starts_with("http://")) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("HF_ENDPOINT is '{}' instead of a URL that begins with https:// or "
                            "http://",
                            settings.endpoint));
  }
  const std::string home = FirstOf(environment, {"HOME"});
  std::string hub_home = FromHome(FirstOf(environment, {"HF_HOME"}), home);
  if (hub_home.empty()) {
    std::string caches = FromHome(FirstOf(environment, {"XDG_CACHE_HOME"}), home);
    if (caches.empty() && !home.empty()) caches = home + "/.cache";
    if (!caches.empty()) hub_home = caches + "/huggingface";
  }
  settings.cache_folder =
      FromHome(FirstOf(environment, {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}), home);
  if (settings.cache_folder.empty() && !hub_home.empty()) settings.cache_folder = hub_home + "/hub";
  if (settings.cache_folder.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "there is no folder to keep models in: set HF_HUB_CACHE or HOME");
  }
  settings.offline = IsTrue(FirstOf(environment, {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
  const std::string seconds = FirstOf(environment, {"HF_HUB_DOWNLOAD_TIMEOUT"});
  int value = 0;
  std::from_chars(seconds.data(), seconds.data() + seconds.size(), value);
  if (value > 0) settings.stall_seconds = value;
  if (Status read = ReadToken(environment, hub_home, home, settings); !read) {
    return std::unexpected(read.error());
  }
  return settings;
}

}  // namespace reprise
