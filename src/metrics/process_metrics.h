#pragma once

// The process's part of /metrics, by the names that Prometheus' client libraries gave it
// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), from /proc. What
// the system does not tell is left out. Any thread.

#include "metrics/metrics_text.h"

namespace reprise {

void WriteProcess(MetricsText& text);

}  // namespace reprise
