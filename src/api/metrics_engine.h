#pragma once

// The engine's part of /metrics: requests, tokens, memory, recurrent states, the stores below.
// Pure.

#include "api/metrics_text.h"
#include "engine/engine.h"

namespace reprise {

void WriteEngine(MetricsText& text, const EngineStats& stats);

}  // namespace reprise
