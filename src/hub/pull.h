#pragma once

// From a model's name on the hub to the path of its file on this machine.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "hub/hub_settings.h"
#include "hub/model_reference.h"

namespace reprise {

struct PullOptions {
  enum class Prefer : uint8_t {
    kNewest,  // asks the hub what the revision is now
    kCached,  // what is there already, where the hub's answer could change nothing but its age
  };
  HubSettings settings;
  Prefer prefer = Prefer::kNewest;
  const Clock* clock = nullptr;               // outlives the call
  bool terminal = false;                      // whether `say` goes to one
  std::function<void(std::string_view)> say;  // progress; empty: nobody is told
  std::function<bool()> stopped;              // asked once a second or more often; may be empty
};

struct PulledModel {
  std::string path;         // of the model's file, or of the first of several
  uint64_t bytes = 0;       // of all of them
  uint64_t came_bytes = 0;  // that were not there before
};

// Offline, and where the hub cannot be reached but the cache has the model: from the cache alone.
// Errors: those of ChooseModel, HubClient and BlobDownload; kNotFound: offline, and not there.
Result<PulledModel> PullModel(const ModelReference& reference, const PullOptions& options);

}  // namespace reprise
