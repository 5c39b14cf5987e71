#pragma once

// The engine's part of /metrics: requests, tokens, memory, recurrent states, the stores below.
// Pure.

#include "engine/engine.h"
#include "metrics/metrics_text.h"

namespace reprise {

void WriteEngine(MetricsText& text, const EngineStats& stats);

}  // namespace reprise
