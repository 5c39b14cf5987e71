#pragma once

// The stores below memory, as `reprise serve --disk --shared` opens them.

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"
#include "model/gguf.h"
#include "model/model.h"

namespace reprise {

struct DiskOptions {
  std::string folder;  // empty: no cache on disk
  uint64_t bytes = 0;  // that it may hold; 0: a tenth of what the disk has free
  Duration retention = std::chrono::hours(24);
};

struct SharedOptions {
  std::vector<std::string> urls;  // store_url.h; empty: no shared cache
  std::string secret_file;        // empty: records are not authenticated
  std::string ca_file;            // empty: the system's
  Duration retention = std::chrono::hours(24);
};

struct TierOptions {
  DiskOptions disk;
  SharedOptions shared;
};

// Says in the log what was found. A store that is out of order is a warning, not an Error.
// kInvalidArgument: another process uses the folder, it may hold too little, or what was said of
// the shared stores makes no sense.
Result<EngineTiers> OpenTiers(const TierOptions& options, const GgufFile& file, const Model& model);

}  // namespace reprise
