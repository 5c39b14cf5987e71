#include "hub/transfer.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/ascii.h"
#include "base/check.h"
#include "base/limits.h"

namespace reprise {
namespace {

// What libcurl's callbacks of one request share.
struct Running {
  HubReply reply;
  size_t header_bytes = 0;
  const Transfer::Sink& sink;
  const std::function<bool()>& stopped;
  Status status;  // the sink's; once it is an Error, libcurl is told to give up
  // libcurl's own limit looks at a mean of seconds, and so notices silence late.
  std::chrono::seconds longest_silence;
  curl_off_t bytes = 0;  // that came until `last_byte`
  std::chrono::steady_clock::time_point last_byte = std::chrono::steady_clock::now();
};

// Called for each line of a reply's head; a reply may have several heads (100 Continue, a proxy's).
size_t OnHeader(const char* data, size_t, size_t size, void* user) {
  auto& running = *static_cast<Running*>(user);
  running.header_bytes += size;
  if (running.header_bytes > limits::kMaxHeaderBytes) return 0;
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    running.reply.headers.clear();
    const size_t space = std::min(line.find(' '), line.size() - 1);
    std::from_chars(line.data() + space + 1, line.data() + line.size(), running.reply.status);
  } else if (const size_t colon = line.find(':'); colon != line.npos) {
    running.reply.headers[Lowercase(Trimmed(line.substr(0, colon)))] =
        std::string(Trimmed(line.substr(colon + 1)));
  }
  return size;
}

size_t OnBody(const char* data, size_t, size_t size, void* user) {
  auto& running = *static_cast<Running*>(user);
  running.status = running.sink(running.reply, std::as_bytes(std::span(data, size)));
  return running.status ? size : 0;
}

// Called at least once a second.
int OnProgress(void* user, curl_off_t, curl_off_t bytes, curl_off_t, curl_off_t) {
  auto& running = *static_cast<Running*>(user);
  const auto now = std::chrono::steady_clock::now();
  if (std::exchange(running.bytes, bytes) != bytes) running.last_byte = now;
  if (now - running.last_byte > running.longest_silence) {
    running.reply.fault = fmt::format("nothing came for {} s", running.longest_silence.count());
    return 1;
  }
  if (running.stopped && running.stopped()) {
    running.status = Fail(ErrorCode::kCancelled, "stopped");
  }
  return running.status ? 0 : 1;
}

struct HeaderList {
  curl_slist* first = nullptr;
  ~HeaderList() { curl_slist_free_all(first); }
  void Add(const std::string& line) { first = curl_slist_append(first, line.c_str()); }
};

}  // namespace

std::string_view HubReply::Header(std::string_view name) const {
  const auto found = headers.find(std::string(name));
  return found == headers.end() ? std::string_view() : found->second;
}

std::string OriginOf(const std::string& url) {
  CURLU* parsed = curl_url();
  std::string origin;
  if (curl_url_set(parsed, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK) {
    for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
      char* text = nullptr;
      if (curl_url_get(parsed, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        origin += fmt::format("{} ", Lowercase(text));
        curl_free(text);
      }
    }
  }
  curl_url_cleanup(parsed);
  return origin;
}

struct Transfer::Handle {
  CURL* curl = curl_easy_init();
  ~Handle() { curl_easy_cleanup(curl); }
};

Transfer::Transfer(int stall_seconds, std::function<bool()> stopped)
    : stall_seconds_(stall_seconds), stopped_(std::move(stopped)) {
  static const CURLcode kReady = curl_global_init(CURL_GLOBAL_DEFAULT);
  handle_ = std::make_unique<Handle>();
  CHECK(kReady == CURLE_OK && handle_->curl != nullptr, "libcurl starts");
}

Transfer::~Transfer() = default;

Result<HubReply> Transfer::Run(const Request& request, const Sink& sink) {
  CURL* curl = handle_->curl;
  curl_easy_reset(curl);
  Running running{.reply = {},
                  .sink = sink,
                  .stopped = stopped_,
                  .status = {},
                  .longest_silence = std::chrono::seconds(stall_seconds_)};
  HeaderList headers;
  headers.Add("Accept-Encoding: identity");  // lengths and ranges are the file's own
  if (!request.token.empty()) headers.Add(fmt::format("Authorization: Bearer {}", request.token));

  char message[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.first);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "reprise");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(limits::kHubConnectSeconds));
  if (request.head) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  const std::string range = fmt::format("{}-", request.from);
  if (request.from > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &running);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &running);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &running);

  const CURLcode code = curl_easy_perform(curl);
  if (!running.status) return std::unexpected(running.status.error());
  if (code != CURLE_OK && running.reply.fault.empty()) {
    running.reply.fault = message[0] != '\0' ? message : curl_easy_strerror(code);
  }
  char* location = nullptr;
  curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
  if (location != nullptr) running.reply.location = location;
  return std::move(running.reply);
}

}  // namespace reprise
