#pragma once

// Writes Prometheus' text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/): families of series one after the
// other, each with its HELP and TYPE, then its samples. Names and help are the caller's to choose
// well; values of labels may be any text. A value.

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metrics/histogram.h"

namespace reprise {

using MetricLabels = std::vector<std::pair<std::string_view, std::string>>;

class MetricsText {
 public:
  enum class Kind : uint8_t { kCounter, kGauge, kHistogram };

  // Begins a family. `help` is one line. REQUIRES: no earlier family has the name.
  void Begin(Kind kind, std::string_view name, std::string_view help);

  // Of the family begun last; kCounter and kGauge.
  template <typename Number>
  void Sample(const MetricLabels& labels, Number value) {
    Write("", labels, fmt::format("{}", value));
  }
  // … kHistogram.
  void Sample(const MetricLabels& labels, const Histogram& histogram);

  // A family of one series without labels.
  template <typename Number>
  void Counter(std::string_view name, std::string_view help, Number value) {
    Begin(Kind::kCounter, name, help);
    Sample({}, value);
  }
  template <typename Number>
  void Gauge(std::string_view name, std::string_view help, Number value) {
    Begin(Kind::kGauge, name, help);
    Sample({}, value);
  }

  std::string Take() { return std::move(page_); }

 private:
  void Write(std::string_view suffix, const MetricLabels& labels, std::string_view value);

  std::string page_;
  std::string name_;  // of the family begun last
};

}  // namespace reprise
