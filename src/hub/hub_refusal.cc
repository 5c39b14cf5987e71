#include "hub/hub_refusal.h"

#include <fmt/format.h>

#include <string>

namespace reprise {
namespace {

std::string Gated(const ModelReference& reference, const HubSettings& settings) {
  return fmt::format(
      "{0} is gated: its owners want to know who uses it. Ask for access at {1}/{0} in a browser, "
      "then {2}",
      reference.repo, settings.endpoint,
      settings.token.empty()
          ? "set HF_TOKEN to a token of that account"
          : fmt::format("try again (the token of {} has no access yet)", settings.token_source));
}

std::string Unknown(const ModelReference& reference, const HubSettings& settings) {
  if (settings.token.empty()) {
    return fmt::format(
        "there is no {} at {}, or it is private or gated; if it is, set HF_TOKEN to a token that "
        "may read it",
        reference.repo, settings.endpoint);
  }
  return fmt::format("there is no {} at {}, or the token of {} may not read it", reference.repo,
                     settings.endpoint, settings.token_source);
}

}  // namespace

Error RefusalOf(const HubReply& reply, const ModelReference& reference, std::string_view path,
                const HubSettings& settings) {
  const std::string_view reason = reply.Header("x-error-code");
  const std::string_view words = reply.Header("x-error-message");
  const ErrorCode code = reply.status == 401   ? ErrorCode::kUnauthorized
                         : reply.status == 403 ? ErrorCode::kForbidden
                         : reply.status == 404 ? ErrorCode::kNotFound
                         : reply.status == 429 ? ErrorCode::kOverloaded
                                               : ErrorCode::kIo;
  const auto error = [code](std::string message) { return Error{code, std::move(message), {}}; };
  if (reason == "GatedRepo") return error(Gated(reference, settings));
  if (reason == "RevisionNotFound") {
    return error(fmt::format("{} has no revision '{}'", reference.repo, reference.revision));
  }
  if (reason == "EntryNotFound") {
    return error(fmt::format("{} has no file {} in its revision {}", reference.repo, path,
                             reference.revision));
  }
  if (reply.status == 401 && !settings.token.empty() && reason != "RepoNotFound") {
    return error(
        fmt::format("the hub does not know the token of {}; make another at "
                    "{}/settings/tokens",
                    settings.token_source, settings.endpoint));
  }
  if (reply.status == 401 || reply.status == 404 || reason == "RepoNotFound") {
    return error(Unknown(reference, settings));
  }
  if (reply.status == 403) {
    return error(
        fmt::format("the hub refuses {} ({}); {}", reference.repo, words.empty() ? "403" : words,
                    settings.token.empty()
                        ? "if it is gated or private, set HF_TOKEN to a token that may read it"
                        : fmt::format("the token of {} may not read it", settings.token_source)));
  }
  if (reply.status == 429) {
    return error(fmt::format(
        "the hub at {} says that it is asked too often (429); {}", settings.endpoint,
        settings.token.empty() ? "wait a while, or set HF_TOKEN: who is known may ask more"
                               : "wait a while"));
  }
  return error(fmt::format("the hub at {} answers {} for {}{}{}{}", settings.endpoint, reply.status,
                           reference.repo, path.empty() ? "" : "/", path,
                           words.empty() ? "" : fmt::format(" ({})", words)));
}

}  // namespace reprise
