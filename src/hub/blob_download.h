#pragma once

// One file of a repository into the cache: gone on with where it was cut off, in this process or an
// earlier one (blobs/ETAG.incomplete holds what came; the etag names the content, so that it cannot
// be another file's), its SHA-256 compared with the hub's, and only then given its name.

#include <functional>
#include <string>

#include "base/error.h"
#include "hub/hub_cache.h"
#include "hub/hub_client.h"
#include "hub/model_choice.h"
#include "hub/model_reference.h"
#include "hub/pull_progress.h"

namespace reprise {

class BlobDownload {
 public:
  // All outlive this.
  BlobDownload(HubClient& client, HubCache& cache, PullProgress& progress,
               std::function<bool()> stopped);

  // Returns when the snapshot of `commit` has the file. What the hub says of a file that does not
  // lie in LFS is no SHA-256: then its size alone is compared.
  // Errors: the client's and the cache's; kCorrupt: the content has another checksum than the hub
  // says (it is erased), or is no GGUF file; kIo: it cannot be written, also for want of room;
  // kCancelled. What came stays for the next time, unless it is wrong.
  Status Run(const ModelReference& reference, const std::string& commit, const RepoFile& file);

 private:
  HubClient& client_;
  HubCache& cache_;
  PullProgress& progress_;
  std::function<bool()> stopped_;
};

// kIo, with both sizes, where the folder's file system has less room than that.
Status CheckRoom(const std::string& folder, uint64_t bytes);

}  // namespace reprise
