#include "history/ledger_account.h"

#include <algorithm>
#include <iterator>

namespace reprise {
namespace {

constexpr int64_t kHourMinutes = 60;

}  // namespace

WorkCounts& WorkCounts::operator+=(const WorkCounts& other) {
  requests += other.requests;
  prompt += other.prompt;
  read += other.read;
  computed += other.computed;
  generated += other.generated;
  saved_seconds += other.saved_seconds;
  return *this;
}

LedgerFigures& LedgerFigures::operator+=(const LedgerFigures& other) {
  work += other.work;
  cached.Merge(other.cached);
  cold.Merge(other.cold);
  return *this;
}

const LedgerGauges& LedgerAccount::Track::GaugesAt(int64_t time) const {
  const auto after = std::ranges::upper_bound(steps, Floor(time), {}, &LedgerStep::time);
  return after == steps.begin() ? before : std::prev(after)->gauges;
}

LedgerStep* LedgerAccount::Track::Find(int64_t now) {
  const int64_t time = Floor(now);
  auto at = std::ranges::lower_bound(steps, time, {}, &LedgerStep::time);
  if (at == steps.end() || at->time != time) {
    at = steps.insert(at, {.time = time, .figures = {}, .gauges = GaugesAt(time)});
  }
  const int64_t oldest = steps.back().time - (most - 1) * step_seconds;
  if (time < oldest) {
    steps.erase(at);
    return nullptr;
  }
  while (steps.front().time < oldest) {
    before = steps.front().gauges;
    steps.pop_front();
  }
  return &*std::ranges::lower_bound(steps, time, {}, &LedgerStep::time);
}

void LedgerAccount::Add(int64_t now, const LedgerFigures& figures) {
  last_used_ = now;
  since_start_ += figures;
  for (Track* track : {&seconds_, &minutes_}) {
    if (LedgerStep* step = track->Find(now)) step->figures += figures;
  }
}

void LedgerAccount::NoteGauges(int64_t now, const LedgerGauges& gauges) {
  for (Track* track : {&seconds_, &minutes_}) {
    if (track->GaugesAt(now) == gauges) continue;
    if (LedgerStep* step = track->Find(now)) step->gauges = gauges;
  }
}

LedgerFigures LedgerAccount::LastHour(int64_t now) const {
  LedgerFigures sum;
  const int64_t oldest = minutes_.Floor(now) - (kHourMinutes - 1) * minutes_.step_seconds;
  for (const LedgerStep& step : minutes_.steps) {
    if (step.time >= oldest && step.time <= now) sum += step.figures;
  }
  return sum;
}

std::vector<LedgerStep> LedgerAccount::Series(LedgerSpan span, int64_t now) const {
  const Track& track = span == LedgerSpan::kTenMinutes ? seconds_ : minutes_;
  const int64_t last = track.Floor(now);
  const int64_t first =
      std::max(track.Floor(started_), last - (track.most - 1) * track.step_seconds);
  std::vector<LedgerStep> series;
  auto kept = std::ranges::lower_bound(track.steps, first, {}, &LedgerStep::time);
  LedgerGauges gauges = track.GaugesAt(first - 1);
  for (int64_t time = first; time <= last; time += track.step_seconds) {
    if (kept != track.steps.end() && kept->time == time) {
      gauges = kept->gauges;
      series.push_back(*kept++);
    } else {
      series.push_back({.time = time, .figures = {}, .gauges = gauges});
    }
  }
  return series;
}

LedgerStep LedgerAccount::Second(int64_t time) const {
  const auto at = std::ranges::lower_bound(seconds_.steps, time, {}, &LedgerStep::time);
  if (at != seconds_.steps.end() && at->time == time) return *at;
  return {.time = time, .figures = {}, .gauges = seconds_.GaugesAt(time)};
}

}  // namespace reprise
