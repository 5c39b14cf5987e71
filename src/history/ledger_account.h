#pragma once

// Counts over time of one tenant's requests, or of everybody's: since the start, for each of the
// last 600 seconds and for each of the last 1,440 minutes. Time is given: seconds since 1970. What
// is noted of a step that is no longer kept counts since the start only.
//
// Steps are kept where something was counted or a gauge changed, so an account costs what happens
// in it. A plain value; one thread at a time.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "history/median_count.h"

namespace reprise {

// How much was asked and done. A request counts when its first prompt is looked up, the tokens of
// prompts when each is, computed and generated ones when they are.
struct WorkCounts {
  uint64_t requests = 0;
  uint64_t prompt = 0;  // tokens
  uint64_t read = 0;    // … of those, from the cache
  uint64_t computed = 0;
  uint64_t generated = 0;
  double saved_seconds = 0;  // that computing what was read would have taken

  WorkCounts& operator+=(const WorkCounts& other);
};

struct LedgerFigures {
  WorkCounts work;
  // From a request's header to its first text: of those that read half of their prompt or more, and
  // of the others.
  MedianCount cached, cold;

  LedgerFigures& operator+=(const LedgerFigures& other);
};

// What is so much at a moment.
struct LedgerGauges {
  size_t running = 0, waiting = 0;  // requests
  size_t blocks_free = 0;
  size_t blocks_automatic = 0;  // cached, and kept by nobody
  size_t blocks_promised = 0;   // cached, held for a promise and by no request
  size_t blocks_leased = 0;     // held by requests
  uint64_t disk_bytes = 0;
  size_t shared_stores = 0;

  bool operator==(const LedgerGauges&) const = default;
};

enum class LedgerSpan : uint8_t { kTenMinutes, kDay };

inline int64_t StepSeconds(LedgerSpan span) { return span == LedgerSpan::kTenMinutes ? 1 : 60; }

struct LedgerStep {
  int64_t time = 0;  // of its beginning
  LedgerFigures figures;
  LedgerGauges gauges;  // the last of the step
};

class LedgerAccount {
 public:
  explicit LedgerAccount(int64_t start) : started_(start), last_used_(start) {}

  void Add(int64_t now, const LedgerFigures& figures);
  void NoteGauges(int64_t now, const LedgerGauges& gauges);

  const LedgerFigures& since_start() const { return since_start_; }
  // Of the current minute and the 59 before it.
  LedgerFigures LastHour(int64_t now) const;
  // Every step of the span since the start, the current one included, ascending.
  std::vector<LedgerStep> Series(LedgerSpan span, int64_t now) const;
  // The second `time`.
  LedgerStep Second(int64_t time) const;
  int64_t last_used() const { return last_used_; }  // when something was counted

 private:
  struct Track {
    int64_t step_seconds;
    int64_t most;                  // steps kept
    std::deque<LedgerStep> steps;  // ascending
    LedgerGauges before;           // in force before the first of them

    int64_t Floor(int64_t time) const { return time - time % step_seconds; }
    // In force at the end of the step that holds `time`.
    const LedgerGauges& GaugesAt(int64_t time) const;
    // Makes it where it is not there; nullptr: it is no longer kept.
    LedgerStep* Find(int64_t now);
  };

  int64_t started_;
  int64_t last_used_;
  LedgerFigures since_start_;
  Track seconds_{.step_seconds = 1, .most = 600, .steps = {}, .before = {}};
  Track minutes_{.step_seconds = 60, .most = 1440, .steps = {}, .before = {}};
};

}  // namespace reprise
