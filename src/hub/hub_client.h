#pragma once

// What is asked of a hub: what a repository holds, and a file of it. The token goes to the hub
// alone (scheme, host and port of HubSettings::endpoint), never to where it redirects, which for
// large files is another company's store with the right to read in the URL. What is encrypted is
// never redirected to what is not. A fault of the network is tried again a few times (limits.h).
//
// Protocol: https://huggingface.co/docs/hub/api, and huggingface_hub's file_download. One thread.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "hub/hub_settings.h"
#include "hub/model_choice.h"
#include "hub/model_reference.h"
#include "hub/transfer.h"

namespace reprise {

struct RepoListing {
  std::string commit;
  std::vector<RepoFile> files;  // with safe paths (IsSafePath) only
};

struct FileMark {
  std::string etag;  // safe as a file's name; the SHA-256 of what lies in LFS
  uint64_t bytes = 0;
};

class HubClient {
 public:
  HubClient(HubSettings settings, std::function<bool()> stopped);

  const HubSettings& settings() const { return settings_; }

  // Errors of all three: hub_refusal.h; kIo where the network does not work; kCancelled.

  // GET /api/models/ORG/REPO/revision/REVISION, at most so often.
  Result<RepoListing> List(const ModelReference& reference, int attempts = limits::kHubAttempts);
  // HEAD /ORG/REPO/resolve/COMMIT/PATH
  Result<FileMark> Mark(const ModelReference& reference, const std::string& commit,
                        const std::string& path);
  // GET of the same, from byte `from` on, once: a fault is the caller's to mend, who knows what
  // came. `sink` gets the body of status 200 and 206 only.
  Result<HubReply> Fetch(const ModelReference& reference, const std::string& commit,
                         const std::string& path, uint64_t from, const Transfer::Sink& sink);

  // Before attempt number `attempt` (from 1): returns after 1, 2, 4, … s. kCancelled.
  Status WaitBefore(int attempt) const;

 private:
  enum class Redirects : uint8_t { kToMark, kAll };
  Result<HubReply> Follow(Transfer::Request request, Redirects redirects,
                          const Transfer::Sink& sink);
  Result<HubReply> Insist(const Transfer::Request& request, int attempts,
                          const Transfer::Sink& sink, const std::function<void()>& begin_anew);
  std::string FileUrl(const ModelReference& reference, const std::string& commit,
                      const std::string& path) const;
  Error Unreachable(const HubReply& reply) const;

  HubSettings settings_;
  std::string origin_;
  std::function<bool()> stopped_;
  Transfer transfer_;
};

// Whether the hub's trouble may pass: no reply, one cut off, 408, 429 or 5xx.
bool MayPass(const HubReply& reply);

}  // namespace reprise
