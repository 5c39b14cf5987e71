#include "hub/hub_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/limits.h"
#include "hub/hub_cache.h"
#include "hub/hub_refusal.h"

namespace reprise {
namespace {

namespace json = boost::json;

// Escaped for a URL's path; '/' stays where `slashes` are the path's own.
std::string Escaped(std::string_view text, bool slashes) {
  std::string escaped;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~' || (c == '/' && slashes);
    if (plain) {
      escaped += c;
    } else {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

std::optional<uint64_t> NumberOf(std::string_view text) {
  uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

const json::value* Member(const json::value& of, std::string_view name) {
  const json::object* object = of.if_object();
  return object == nullptr ? nullptr : object->if_contains(name);
}

std::string_view TextOf(const json::value* value) {
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

uint64_t SizeOf(const json::value* value) {
  if (value == nullptr || !value->is_number()) return 0;
  boost::system::error_code failure;
  const auto size = value->to_number<uint64_t>(failure);
  return failure ? 0 : size;
}

// {"sha": COMMIT, "siblings": [{"rfilename": PATH, "size": N, "lfs": {"sha256": HASH, …}, …}, …],
// …}
std::optional<RepoListing> ReadListing(std::string_view body) {
  boost::system::error_code failure;
  const json::value page = json::parse(body, failure);
  if (failure) return std::nullopt;
  RepoListing listing;
  listing.commit = TextOf(Member(page, "sha"));
  const json::value* siblings = Member(page, "siblings");
  if (!IsCommit(listing.commit) || siblings == nullptr || !siblings->is_array()) {
    return std::nullopt;
  }
  for (const json::value& each : siblings->get_array()) {
    RepoFile file;
    file.path = TextOf(Member(each, "rfilename"));
    if (!IsSafePath(file.path)) continue;
    file.bytes = SizeOf(Member(each, "size"));
    if (const json::value* large = Member(each, "lfs"); large != nullptr) {
      file.sha256 = TextOf(Member(*large, "sha256"));
    }
    listing.files.push_back(std::move(file));
  }
  return listing;
}

// Of ETag's two forms, "…" and W/"…"; empty where it could be no file's name.
std::string EtagOf(const HubReply& reply) {
  constexpr size_t kMaxEtagBytes = 128;
  std::string_view text = reply.Header("x-linked-etag");
  if (text.empty()) text = reply.Header("etag");
  if (text.starts_with("W/")) text.remove_prefix(2);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  const bool safe = text.size() <= kMaxEtagBytes && std::ranges::all_of(text, [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '-' || c == '_';
                    });
  return safe ? std::string(text) : std::string();
}

}  // namespace

bool MayPass(const HubReply& reply) {
  return !reply.fault.empty() || reply.status == 408 || reply.status == 429 || reply.status >= 500;
}

HubClient::HubClient(HubSettings settings, std::function<bool()> stopped)
    : settings_(std::move(settings)),
      origin_(OriginOf(settings_.endpoint)),
      stopped_(stopped),
      transfer_(settings_.stall_seconds, std::move(stopped)) {}

Status HubClient::WaitBefore(int attempt) const {
  if (attempt <= 1) return {};
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(1LL << (attempt - 2));
  while (std::chrono::steady_clock::now() < until) {
    if (stopped_ && stopped_()) return Fail(ErrorCode::kCancelled, "stopped");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {};
}

// kToMark: a redirect to another origin that says what the file is, is the last reply.
Result<HubReply> HubClient::Follow(Transfer::Request request, Redirects redirects,
                                   const Transfer::Sink& sink) {
  for (int hop = 0;; ++hop) {
    const bool own = OriginOf(request.url) == origin_;
    request.token = own ? settings_.token : std::string();
    Result<HubReply> reply = transfer_.Run(request, sink);
    if (!reply || !reply->is_redirect()) return reply;
    if (redirects == Redirects::kToMark && OriginOf(reply->location) != origin_ &&
        !reply->Header("x-linked-etag").empty()) {
      return reply;
    }
    if (hop == limits::kMaxHubRedirects) {
      return Fail(ErrorCode::kIo,
                  fmt::format("the hub at {} redirects in a circle", settings_.endpoint));
    }
    if (request.url.starts_with("https://") && !reply->location.starts_with("https://")) {
      return Fail(ErrorCode::kIo,
                  fmt::format("the hub at {} redirects from https to what is not encrypted",
                              settings_.endpoint));
    }
    request.url = reply->location;
  }
}

// Until a reply came whole, or trying again has not helped.
Result<HubReply> HubClient::Insist(const Transfer::Request& request, int attempts,
                                   const Transfer::Sink& sink,
                                   const std::function<void()>& begin_anew) {
  for (int attempt = 1;; ++attempt) {
    if (Status waited = WaitBefore(attempt); !waited) return std::unexpected(waited.error());
    begin_anew();
    Result<HubReply> reply = Follow(request, Redirects::kToMark, sink);
    if (!reply || !MayPass(*reply)) return reply;
    if (attempt < attempts) continue;
    if (!reply->fault.empty()) return std::unexpected(Unreachable(*reply));
    return reply;
  }
}

std::string HubClient::FileUrl(const ModelReference& reference, const std::string& commit,
                               const std::string& path) const {
  return fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, reference.repo, commit,
                     Escaped(path, true));
}

Error HubClient::Unreachable(const HubReply& reply) const {
  return {ErrorCode::kIo,
          fmt::format("the hub at {} cannot be reached: {}", settings_.endpoint, reply.fault),
          {}};
}

Result<RepoListing> HubClient::List(const ModelReference& reference, int attempts) {
  std::string body;
  const auto collect = [&](const HubReply& reply, std::span<const std::byte> bytes) -> Status {
    if (reply.status != 200) return {};
    if (body.size() + bytes.size() > limits::kMaxHubListingBytes) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("the listing of {} is longer than {}", reference.repo,
                              SizeText(limits::kMaxHubListingBytes)));
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  };
  const std::string url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", settings_.endpoint,
                                      reference.repo, Escaped(reference.revision, false));
  const Result<HubReply> reply =
      Insist({.url = url, .token = {}}, attempts, collect, [&] { body.clear(); });
  if (!reply) return std::unexpected(reply.error());
  if (reply->status != 200) {
    return std::unexpected(RefusalOf(*reply, reference, "", settings_));
  }
  std::optional<RepoListing> listing = ReadListing(body);
  if (listing) return *std::move(listing);
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{} does not answer as a hub does: it lists no files of {}",
                          settings_.endpoint, reference.repo));
}

Result<FileMark> HubClient::Mark(const ModelReference& reference, const std::string& commit,
                                 const std::string& path) {
  const auto ignore = [](const HubReply&, std::span<const std::byte>) -> Status { return {}; };
  const Result<HubReply> reply =
      Insist({.url = FileUrl(reference, commit, path), .token = {}, .head = true},
             limits::kHubAttempts, ignore, [] {});
  if (!reply) return std::unexpected(reply.error());
  if (reply->status != 200 && !reply->is_redirect()) {
    return std::unexpected(RefusalOf(*reply, reference, path, settings_));
  }
  FileMark mark{.etag = EtagOf(*reply)};
  const std::string_view linked = reply->Header("x-linked-size");
  const std::optional<uint64_t> bytes =
      NumberOf(linked.empty() && !reply->is_redirect() ? reply->Header("content-length") : linked);
  if (mark.etag.empty() || !bytes || reply->Header("x-repo-commit") != commit) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{} does not answer as a hub does: it says no size, etag or commit of "
                            "{}",
                            settings_.endpoint, path));
  }
  mark.bytes = *bytes;
  return mark;
}

Result<HubReply> HubClient::Fetch(const ModelReference& reference, const std::string& commit,
                                  const std::string& path, uint64_t from,
                                  const Transfer::Sink& sink) {
  const auto only_the_file = [&sink](const HubReply& reply,
                                     std::span<const std::byte> bytes) -> Status {
    return reply.status == 200 || reply.status == 206 ? sink(reply, bytes) : Status();
  };
  return Follow({.url = FileUrl(reference, commit, path), .token = {}, .from = from},
                Redirects::kAll, only_the_file);
}

}  // namespace reprise
