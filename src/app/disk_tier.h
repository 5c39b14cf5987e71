#pragma once

// The cache's folder on disk, as `reprise serve --disk` opens it.

#include <cstdint>
#include <string>

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

// Says in the log what was found. kInvalidArgument: another process uses the folder, or it may hold
// too little; kIo.
Result<EngineTier> OpenDiskTier(const DiskOptions& options, const std::string& model_path,
                                const GgufFile& file, const Model& model);

}  // namespace reprise
