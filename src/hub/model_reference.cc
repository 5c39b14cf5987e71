#include "hub/model_reference.h"

#include <fmt/format.h>

#include <algorithm>

namespace reprise {
namespace {

constexpr std::string_view kScheme = "hf:";
constexpr size_t kMaxNameBytes = 96;  // the hub's own limit for ORG/REPO

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

// "--" separates ORG from REPO in the cache's folder names, so that the hub lets nobody use it.
bool IsName(std::string_view name) {
  const auto edge = [](char c) { return c == '.' || c == '-'; };
  return !name.empty() && !edge(name.front()) && !edge(name.back()) &&
         std::ranges::all_of(name, IsNameCharacter) && name.find("--") == name.npos &&
         name.find("..") == name.npos;
}

}  // namespace

std::string ModelReference::Text() const {
  return fmt::format("{}{}{}{}", kScheme, repo,
                     revision == "main" ? "" : fmt::format("@{}", revision),
                     selector.empty() ? "" : fmt::format(":{}", selector));
}

bool IsModelReference(std::string_view text) { return text.starts_with(kScheme); }

bool IsSafePath(std::string_view path) {
  while (true) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view component = path.substr(0, end);
    if (component.empty() || component.front() == '.') return false;
    for (const char c : component) {
      if ((c >= 0 && c < ' ') || c == 0x7F || c == '\\') return false;
    }
    if (end == path.size()) return true;
    path.remove_prefix(end + 1);
  }
}

Result<ModelReference> ParseModelReference(std::string_view text) {
  const auto wrong = [text](std::string_view what) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}': {}; a model on the hub is named hf:ORG/REPO, "
                            "hf:ORG/REPO:Q4_K_M or hf:ORG/REPO@REVISION:FILE.gguf",
                            text, what));
  };
  if (!IsModelReference(text)) return wrong("it does not begin with hf:");
  std::string_view rest = text.substr(kScheme.size());
  ModelReference reference;
  if (const size_t colon = rest.find(':'); colon != rest.npos) {
    reference.selector = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!IsSafePath(reference.selector)) return wrong("what follows the colon names no file");
  }
  if (const size_t at = rest.find('@'); at != rest.npos) {
    reference.revision = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!IsSafePath(reference.revision)) return wrong("what follows the @ is no revision");
  }
  const size_t slash = rest.find('/');
  if (slash == rest.npos) return wrong("there is no / between organisation and repository");
  if (rest.size() > kMaxNameBytes || !IsName(rest.substr(0, slash)) ||
      !IsName(rest.substr(slash + 1))) {
    return wrong("no repository can have that name");
  }
  reference.repo = rest;
  return reference;
}

}  // namespace reprise
