#include "hub/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "hub/blob_download.h"
#include "hub/hub_cache.h"
#include "hub/hub_client.h"
#include "hub/model_choice.h"

namespace reprise {
namespace {

PulledModel ModelAt(const HubCache& cache, const std::string& commit, const ModelChoice& choice,
                    uint64_t came_bytes) {
  PulledModel model{.path = cache.SnapshotPath(commit, choice.parts.front().path),
                    .bytes = 0,
                    .came_bytes = came_bytes};
  for (const RepoFile& part : choice.parts) model.bytes += part.bytes;
  return model;
}

struct Cached {
  PulledModel model;
  bool certain;  // ModelChoice's
};

Result<Cached> FindCached(const HubCache& cache, const ModelReference& reference) {
  const std::optional<std::string> commit = cache.CommitOf(reference.revision);
  if (!commit) return Fail(ErrorCode::kNotFound, "");
  const Result<ModelChoice> choice = ChooseModel(cache.Files(*commit), reference);
  if (!choice) return std::unexpected(choice.error());
  return Cached{.model = ModelAt(cache, *commit, *choice, 0), .certain = choice->certain};
}

Result<PulledModel> Offline(const Result<Cached>& cached, const ModelReference& reference,
                            const HubSettings& settings) {
  if (cached) return cached->model;
  const std::string& why = cached.error().message;
  return Fail(
      ErrorCode::kNotFound,
      fmt::format("{} is not in {}{}, and HF_HUB_OFFLINE forbids to fetch it", reference.Text(),
                  settings.cache_folder, why.empty() ? "" : fmt::format(" ({})", why)));
}

// What of the choice is not in the snapshot.
ModelChoice Missing(const HubCache& cache, const std::string& commit, const ModelChoice& choice) {
  ModelChoice missing;
  for (const RepoFile& part : choice.parts) {
    if (!cache.Has(commit, part.path)) missing.parts.push_back(part);
  }
  return missing;
}

Status FetchAll(HubClient& client, HubCache& cache, const ModelReference& reference,
                const std::string& commit, const ModelChoice& missing, const PullOptions& options) {
  uint64_t bytes = 0;
  for (const RepoFile& part : missing.parts) bytes += part.bytes;
  const size_t count = missing.parts.size();
  PullProgress progress(
      {.clock = options.clock, .terminal = options.terminal, .write = options.say},
      count == 1 ? missing.parts.front().path
                 : fmt::format("{} and {} more", missing.parts.front().path, count - 1),
      bytes);
  BlobDownload download(client, cache, progress, options.stopped);
  for (const RepoFile& part : missing.parts) {
    Status fetched = download.Run(reference, commit, part);
    if (!fetched) {
      progress.Finish();
      return fetched;
    }
  }
  progress.Finish();
  return {};
}

// What is half there counts as room that is taken already.
uint64_t BytesToCome(const HubCache& cache, const ModelChoice& missing) {
  uint64_t bytes = 0;
  for (const RepoFile& part : missing.parts) {
    bytes += part.bytes - std::min(part.bytes, cache.IncompleteBytes(part.sha256));
  }
  return bytes;
}

}  // namespace

Result<PulledModel> PullModel(const ModelReference& reference, const PullOptions& options) {
  HubCache cache(options.settings.cache_folder, reference.repo);
  const Result<Cached> cached = FindCached(cache, reference);
  if (options.settings.offline) return Offline(cached, reference, options.settings);
  const bool may_do = options.prefer == PullOptions::Prefer::kCached && cached;
  if (may_do && cached->certain) return cached->model;

  HubClient client(options.settings, options.stopped);
  const Result<RepoListing> listing = client.List(reference, may_do ? 1 : limits::kHubAttempts);
  if (!listing) {
    if (!may_do || listing.error().code != ErrorCode::kIo) return std::unexpected(listing.error());
    if (options.say) {
      options.say(fmt::format("{}; serving what was fetched before\n", listing.error().message));
    }
    return cached->model;
  }
  const Result<ModelChoice> choice = ChooseModel(listing->files, reference);
  if (!choice) return std::unexpected(choice.error());
  const ModelChoice missing = Missing(cache, listing->commit, *choice);
  if (!missing.parts.empty()) {
    if (Status made = cache.MakeFolders(); !made) return std::unexpected(made.error());
    if (Status room = CheckRoom(cache.folder(), BytesToCome(cache, missing)); !room) {
      return std::unexpected(room.error());
    }
    if (Status fetched = FetchAll(client, cache, reference, listing->commit, missing, options);
        !fetched) {
      return std::unexpected(fetched.error());
    }
  }
  // Last, so that what was there before is found until all of the new is.
  if (Status set = cache.SetCommit(reference.revision, listing->commit); !set) {
    return std::unexpected(set.error());
  }
  uint64_t came_bytes = 0;
  for (const RepoFile& part : missing.parts) came_bytes += part.bytes;
  return ModelAt(cache, listing->commit, *choice, came_bytes);
}

}  // namespace reprise
