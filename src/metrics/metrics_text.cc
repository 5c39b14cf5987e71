#include "metrics/metrics_text.h"

#include <array>
#include <cstdint>

namespace reprise {
namespace {

constexpr std::array<std::string_view, 3> kMetricKinds = {"counter", "gauge", "histogram"};

// A label's value between its quotes.
std::string EscapedLabel(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace

void MetricsText::Begin(Kind kind, std::string_view name, std::string_view help) {
  name_ = name;
  page_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help,
                       kMetricKinds[static_cast<size_t>(kind)]);
}

void MetricsText::Sample(const MetricLabels& labels, const Histogram& histogram) {
  MetricLabels with_bound = labels;
  with_bound.emplace_back("le", "");
  uint64_t below = 0;
  for (size_t i = 0; i < histogram.counts().size(); ++i) {
    below += histogram.counts()[i];
    const bool last = i == histogram.bounds().size();
    with_bound.back().second = last ? "+Inf" : fmt::format("{}", histogram.bounds()[i]);
    Write("_bucket", with_bound, fmt::format("{}", below));
  }
  Write("_sum", labels, fmt::format("{}", histogram.sum()));
  Write("_count", labels, fmt::format("{}", below));
}

void MetricsText::Write(std::string_view suffix, const MetricLabels& labels,
                        std::string_view value) {
  page_ += name_;
  page_ += suffix;
  char before = '{';
  for (const auto& [name, text] : labels) {
    page_ += fmt::format("{}{}=\"{}\"", before, name, EscapedLabel(text));
    before = ',';
  }
  if (!labels.empty()) page_ += '}';
  page_ += fmt::format(" {}\n", value);
}

}  // namespace reprise
