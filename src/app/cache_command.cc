#include "app/cache_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "app/load.h"
#include "tiers/disk_store.h"

namespace reprise {
namespace {

void PrintSizes(const DiskStore& store) {
  const StoreSizes sizes = store.sizes();
  fmt::print("{} blocks, {:.3f} GB, of which {:.3f} GB are promised\n", sizes.records,
             static_cast<double>(sizes.held_bytes) / 1e9,
             static_cast<double>(sizes.promised_bytes) / 1e9);
}

int Stat(const DiskStore& store) {
  PrintSizes(store);
  const Result<std::vector<DiskStore::Group>> groups = store.Groups();
  if (!groups) return Complain(groups.error());
  const WallSeconds now = WallSecondsNow();
  for (const DiskStore::Group& group : *groups) {
    fmt::print("{} blocks of {} bytes, last used {} to {} s ago\n", group.records,
               group.record_bytes, now - group.youngest, now - group.oldest);
  }
  if (store.found().leftover > 0) {
    fmt::print("room of {} unfinished blocks, to be used again\n", store.found().leftover);
  }
  return 0;
}

int Verify(DiskStore& store, bool mend) {
  const bool shows = isatty(STDERR_FILENO) != 0;
  uint64_t shown = 0;
  const auto progress = [&](uint64_t done, uint64_t all) {
    if (!shows || (done - shown) * 100 < all) return;
    shown = done;
    fmt::print(stderr, "\r{} of {} blocks", done, all);
    std::fflush(stderr);
  };
  const auto verdict = store.Verify(mend, progress);
  if (shows) fmt::print(stderr, "\r{:40}\r", "");
  if (!verdict) return Complain(verdict.error());
  fmt::print("{} blocks are whole, {} are not{}\n", verdict->good, verdict->bad,
             verdict->bad > 0 && mend ? " and were erased" : "");
  return verdict->bad > 0 && !mend ? 1 : 0;
}

}  // namespace

int RunCache(const CacheOptions& options) {
  using Verb = CacheOptions::Verb;
  if (!std::filesystem::exists(options.folder + "/index/data.mdb")) {
    return Complain(
        {ErrorCode::kNotFound,
         fmt::format("there is no cache in {} (reprise serve --disk makes one)", options.folder),
         {}});
  }
  FileSystem files;
  const bool looks =
      options.verb == Verb::kStat || (options.verb == Verb::kVerify && !options.mend);
  auto opened = DiskStore::Open(
      {.folder = options.folder,
       .capacity_bytes = options.verb == Verb::kPrune ? options.bytes : UINT64_MAX,
       .retention = std::chrono::duration_cast<std::chrono::seconds>(options.retention).count(),
       .read_only = looks},
      files);
  if (!opened) return Complain(opened.error());
  DiskStore& store = **opened;
  switch (options.verb) {
    case Verb::kStat:
      return Stat(store);
    case Verb::kVerify:
      return Verify(store, options.mend);
    case Verb::kPrune: {
      const Result<WriteOutcome> outcome = store.Prune(WallSecondsNow());
      if (!outcome) return Complain(outcome.error());
      fmt::print("{} blocks were too old, {} too many\n", outcome->expired, outcome->evicted);
      PrintSizes(store);
      return 0;
    }
    case Verb::kClear:
      if (const Status cleared = store.Clear(); !cleared) return Complain(cleared.error());
      fmt::print("{} blocks erased\n", store.found().records);
      return 0;
  }
  return 2;
}

}  // namespace reprise
