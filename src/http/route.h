#pragma once

// Which of a table's routes answers a method and path. Pure; any thread.

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>

namespace reprise {

// A server's table holds one in each entry, beside the handler.
struct Route {
  std::string_view method;
  std::string_view path;  // ends in '/': what follows is a name that the handler reads
  bool quiet = false;     // polled by machines: logged for debugging only
  bool admin = false;     // concerns every tenant: for administrators' keys only
};

inline bool MatchesPath(const Route& route, std::string_view path) {
  if (route.path.size() > 1 && route.path.ends_with('/')) {
    return path.starts_with(route.path) && path.size() > route.path.size();
  }
  return path == route.path;
}

// Whether it is `root` or a path below it.
inline bool IsAtOrBelow(std::string_view root, std::string_view path) {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

// A path as it is understood: without slashes twice or at its end, with one /v1 for two, and with
// one for none where only that is a path that is_known(path).
template <typename IsKnown>
std::string UnderstoodPath(std::string_view path, IsKnown is_known) {
  constexpr std::string_view kVersion = "/v1";
  std::string understood;
  for (const char c : path) {
    if (c != '/' || !understood.ends_with('/')) understood += c;
  }
  if (understood.size() > 1 && understood.ends_with('/')) understood.pop_back();
  if (understood.starts_with("/v1/v1/")) understood.erase(0, kVersion.size());
  if (is_known(understood)) return understood;
  std::string versioned = std::string(kVersion) + understood;
  return is_known(versioned) ? versioned : understood;
}

// HEAD is answered as GET.
inline bool MatchesMethod(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

template <typename R>
struct RouteMatch {
  const R* route = nullptr;
  std::string allowed;  // "GET, DELETE": methods of the routes with this path; empty: none has it
};

// R has a member `route`.
template <typename R>
RouteMatch<R> FindRoute(std::span<const R> table, std::string_view method, std::string_view path) {
  RouteMatch<R> match;
  for (const R& entry : table) {
    if (!MatchesPath(entry.route, path)) continue;
    if (MatchesMethod(entry.route, method)) match.route = &entry;
    match.allowed += fmt::format("{}{}", match.allowed.empty() ? "" : ", ", entry.route.method);
  }
  return match;
}

}  // namespace reprise
