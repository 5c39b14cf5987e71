#include "hub/pull_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "hub/model_choice.h"

namespace reprise {
namespace {

constexpr Duration kRateSpan = std::chrono::seconds(10);
constexpr Duration kSampleEvery = std::chrono::milliseconds(100);
constexpr Duration kTerminalEvery = std::chrono::milliseconds(200);
constexpr Duration kLogEvery = std::chrono::seconds(5);

// So that the terminal's line is one of 80 columns: the end of a long name, which tells more.
std::string ShortName(std::string_view name) {
  constexpr size_t kLongest = 28;
  if (name.size() <= kLongest) return std::string(name);
  name.remove_prefix(name.size() - kLongest);
  while (!name.empty() && (static_cast<unsigned char>(name.front()) & 0xC0) == 0x80) {
    name.remove_prefix(1);  // the rest of a character of UTF-8
  }
  return fmt::format("…{}", name);
}

std::string TimeText(double seconds) {
  const auto whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace

PullProgress::PullProgress(Options options, std::string name, uint64_t total_bytes)
    : options_(std::move(options)), name_(std::move(name)), total_bytes_(total_bytes) {
  const TimePoint now = options_.clock->Now();
  samples_.push_back({.at = now, .fetched_bytes = 0});
  shown_ = now;
  Say(fmt::format("fetching {}, {}", name_, SizeText(total_bytes_)));
}

void PullProgress::Found(uint64_t bytes) { done_bytes_ += bytes; }

void PullProgress::Lost(uint64_t bytes) { done_bytes_ -= std::min(bytes, done_bytes_); }

void PullProgress::Fetched(uint64_t bytes) {
  done_bytes_ += bytes;
  fetched_bytes_ += bytes;
  const TimePoint now = options_.clock->Now();
  if (now - samples_.back().at >= kSampleEvery) {
    samples_.push_back({.at = now, .fetched_bytes = fetched_bytes_});
  }
  while (samples_.size() > 2 && now - samples_.front().at > kRateSpan) samples_.pop_front();
  if (now - shown_ >= (options_.terminal ? kTerminalEvery : kLogEvery)) Show(now);
}

void PullProgress::Say(std::string_view line) {
  Finish();
  if (options_.write) options_.write(fmt::format("{}\n", line));
}

void PullProgress::Finish() {
  if (std::exchange(line_open_, false) && options_.write) options_.write("\n");
}

void PullProgress::Show(TimePoint now) {
  shown_ = now;
  if (!options_.write) return;
  if (options_.terminal) {
    line_open_ = true;
    options_.write(fmt::format("\r{}\x1b[K", Line(now)));
  } else {
    options_.write(Line(now) + "\n");
  }
}

std::string PullProgress::Line(TimePoint now) const {
  const double percent = total_bytes_ == 0 ? 100
                                           : 100 * static_cast<double>(done_bytes_) /
                                                 static_cast<double>(total_bytes_);
  std::string line =
      fmt::format("{}: {} of {} ({:.0f} %)", options_.terminal ? ShortName(name_) : name_,
                  SizeText(done_bytes_), SizeText(total_bytes_), std::min(percent, 100.0));
  const double seconds = std::chrono::duration<double>(now - samples_.front().at).count();
  const auto came = static_cast<double>(fetched_bytes_ - samples_.front().fetched_bytes);
  if (seconds <= 0 || came <= 0) return line;
  const double rate = came / seconds;
  const auto left = static_cast<double>(total_bytes_ - std::min(done_bytes_, total_bytes_));
  return line + fmt::format(", {}/s, {} left", SizeText(static_cast<uint64_t>(rate)),
                            TimeText(left / rate));
}

}  // namespace reprise
