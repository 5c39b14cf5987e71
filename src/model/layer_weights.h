#pragma once

// The weights of one layer, out of the file. See weights.h.

#include "base/error.h"
#include "model/weights.h"

namespace reprise {

Result<LayerWeights> LoadLayer(WeightLoader& loader, const Architecture& architecture,
                               const ModelConfig& config, int layer);

}  // namespace reprise
