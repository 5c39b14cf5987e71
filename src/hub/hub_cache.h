#pragma once

// The folder of models that the hub's tools share, for one repository. Its layout
// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
//
//   models--ORG--REPO/blobs/ETAG              a file's content; ETAG.incomplete while it is fetched
//   models--ORG--REPO/snapshots/COMMIT/PATH   a link to its blob
//   models--ORG--REPO/refs/REVISION           the commit that a branch or tag meant when last asked
//   .locks/models--ORG--REPO/ETAG.lock        held (flock) by whoever fetches that blob
//
// So what others have fetched is found, and what is fetched here others find. Commits, revisions,
// paths and etags are checked by who read them (model_reference.h, hub_client.h).

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hub/model_choice.h"

namespace reprise {

// A commit as the hub writes it: 40 hexadecimal digits.
bool IsCommit(std::string_view text);

// Held from Lock until it is destroyed.
class BlobLock {
 public:
  explicit BlobLock(int file) : file_(file) {}
  BlobLock(BlobLock&& other) noexcept;
  BlobLock& operator=(BlobLock&&) = delete;
  ~BlobLock();

  int file() const { return file_; }

 private:
  int file_;  // -1: the file system has no locks, and the rename at the end has to do
};

class HubCache {
 public:
  HubCache(const std::string& folder, const std::string& repo);

  const std::string& folder() const { return folder_; }  // the repository's

  // What is there, asking nobody.
  std::optional<std::string> CommitOf(const std::string& revision) const;
  std::vector<RepoFile> Files(const std::string& commit) const;  // whose content is there
  bool Has(const std::string& commit, const std::string& path) const;
  std::string SnapshotPath(const std::string& commit, const std::string& path) const;

  std::string BlobPath(const std::string& etag) const;
  std::string IncompletePath(const std::string& etag) const;
  uint64_t IncompleteBytes(const std::string& etag) const;  // 0 where there is none

  // kIo, with the folder's name, where one cannot be written to.
  Status MakeFolders();
  // Waits for another process that fetches the blob; `waiting` is told once that it does.
  // kCancelled where `stopped` says so.
  Result<BlobLock> Lock(const std::string& etag, const std::function<void()>& waiting,
                        const std::function<bool()>& stopped);
  Status Link(const std::string& etag, const std::string& commit, const std::string& path);
  Status SetCommit(const std::string& revision, const std::string& commit);

 private:
  std::string root_;    // of all repositories
  std::string name_;    // models--ORG--REPO
  std::string folder_;  // root_/name_
};

}  // namespace reprise
