#include "router/request_route.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "http/query.h"
#include "http/route.h"
#include "vendor/anthropic/endpoints.h"
#include "vendor/openai/endpoints.h"
#include "vendor/responses/endpoints.h"

namespace reprise {
namespace {

const std::array<const WireEndpoint*, 4> kGenerating = {&kChatCompletions, &kTextCompletions,
                                                        &kMessages, &kResponses};
constexpr std::string_view kStored = "/v1/responses/";

struct KnownPath {
  std::string_view path;  // ends in '/': what follows is a name
  RequestKind kind;
};
constexpr std::array kKnownPaths = {
    KnownPath{"/v1/messages/count_tokens", RequestKind::kAnyReplica},
    KnownPath{"/v1/embeddings", RequestKind::kAnyReplica},
    KnownPath{"/v1/models", RequestKind::kAnyReplica},
    KnownPath{"/v1/models/", RequestKind::kAnyReplica},
    KnownPath{"/tokenize", RequestKind::kAnyReplica},
    KnownPath{"/detokenize", RequestKind::kAnyReplica},
    KnownPath{"/apply-template", RequestKind::kAnyReplica},
    KnownPath{"/prices", RequestKind::kAnyReplica},
    KnownPath{"/health", RequestKind::kHealth},
    KnownPath{"/metrics", RequestKind::kMetrics},
    KnownPath{"/fleet", RequestKind::kFleet},
    KnownPath{"/props", RequestKind::kOneReplica},
    KnownPath{"/savings", RequestKind::kOneReplica},
    KnownPath{"/cache", RequestKind::kOneReplica},
    KnownPath{"/cache/", RequestKind::kOneReplica},
    KnownPath{"/", RequestKind::kOneReplica},
    KnownPath{"/page/", RequestKind::kOneReplica},
};

const WireEndpoint* GeneratingAt(std::string_view path) {
  const auto found = std::ranges::find(kGenerating, path, &WireEndpoint::path);
  return found == kGenerating.end() ? nullptr : *found;
}

const KnownPath* FindKnown(std::string_view path) {
  const auto matches = [path](const KnownPath& known) {
    return MatchesPath(Route{"", known.path}, path);
  };
  const auto found = std::ranges::find_if(kKnownPaths, matches);
  return found == kKnownPaths.end() ? nullptr : &*found;
}

bool IsKnown(std::string_view path) {
  return GeneratingAt(path) != nullptr || FindKnown(path) != nullptr || path.starts_with(kStored);
}

}  // namespace

RequestRoute RouteOf(std::string_view method, std::string_view path) {
  RequestRoute route;
  route.path = UnderstoodPath(path, IsKnown);
  route.label = "other";
  const WireEndpoint* endpoint = GeneratingAt(route.path);
  if (endpoint != nullptr) {
    route.label = endpoint->path;
    if (method != "POST") return route;
    route.kind = RequestKind::kGenerate;
    route.endpoint = endpoint;
  } else if (route.path.starts_with(kStored)) {
    route.label = kStored;
    route.kind = RequestKind::kStoredResponse;
    const std::string_view rest = std::string_view(route.path).substr(kStored.size());
    route.response_id = rest.substr(0, rest.find('/'));
  } else if (const KnownPath* known = FindKnown(route.path)) {
    route.label = known->path;
    route.kind = known->kind;
  }
  return route;
}

const WireForm& ErrorFormOf(std::string_view path) {
  return IsAtOrBelow(kMessages.path, path) ? kAnthropic : kOpenAi;
}

std::string NamedReplica(const HttpRequest& request) {
  for (const auto& [name, value] : request.fields) {
    if (EqualsIgnoringCase(name, "x-reprise-replica")) return Lowercase(value);
  }
  return Lowercase(QueryField(request.query, "replica").value_or(""));
}

}  // namespace reprise
