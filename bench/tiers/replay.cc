// Replays a trace of requests in Mooncake's form (a JSON object a line: input_length, and hash_ids,
// one for each 512 tokens of the prompt) through the scheduler, the tree and the cache on disk, as
// they are in the server, but without a model: what a block would hold is a checksum of the ids up
// to it, and is compared whenever it is read.
//
//   tier_replay TRACE FOLDER      FOLDER is emptied
//
// Prints a row of Markdown for each size of memory, without and with a disk for everything.

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <unordered_set>

#include "engine/scheduler.h"
#include "tiers/disk_store.h"

namespace reprise {
namespace {

// A block of the trace is one of ours, of two tokens: the high and the low half of its id.
constexpr size_t kTokens = 2;
constexpr size_t kTraceTokens = 512;
constexpr size_t kPayload = 64;

struct TraceRequest {
  size_t tokens = 0;  // of the real prompt
  std::vector<TokenId> ids;
};

struct Trace {
  std::vector<TraceRequest> requests;
  size_t blocks = 0;  // different ones
  size_t tokens = 0, readable = 0;
};

size_t TokensOf(const TraceRequest& request, size_t blocks) {
  return std::min(request.tokens, blocks * kTraceTokens);
}

Trace ReadTrace(const std::string& path) {
  Trace trace;
  std::unordered_set<int64_t> seen;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const boost::json::value entry = boost::json::parse(line);
    TraceRequest request{entry.at("input_length").to_number<size_t>(), {}};
    size_t known = 0;
    for (const auto& each : entry.at("hash_ids").as_array()) {
      const int64_t id = each.as_int64();
      known += known == request.ids.size() / kTokens && seen.contains(id);
      seen.insert(id);
      request.ids.push_back(static_cast<TokenId>(id >> 16));
      request.ids.push_back(static_cast<TokenId>(id & 0xFFFF));
    }
    trace.tokens += request.tokens;
    trace.readable += TokensOf(request, known);
    trace.requests.push_back(std::move(request));
  }
  trace.blocks = seen.size();
  return trace;
}

uint64_t ChecksumOf(std::span<const TokenId> tokens) {
  uint64_t sum = 17;
  for (const TokenId token : tokens) sum = (sum ^ static_cast<uint64_t>(token)) * 0x100000001B3ULL;
  return sum;
}

struct Outcome {
  size_t read = 0, stored = 0;  // tokens; of those, from the disk
  size_t wrong = 0;             // blocks
  BlockTier::Counters disk;
};

Outcome Replay(const Trace& trace, size_t memory_blocks, BlockTier* tier) {
  const SystemClock clock;
  auto pool = BlockPool::Create(memory_blocks, kPayload).value();
  PrefixCache cache(pool.get(), &clock, {.block_tokens = kTokens});
  PromptEnds ends(0);
  LowerTier::Options below;
  if (tier != nullptr) below.tiers = {tier};
  below.seconds_per_cost = 1;  // whatever is there is worth reading
  below.wake = [] {};
  Scheduler scheduler(pool.get(), &cache, &ends, &clock, {.prefill_chunk = size_t{1} << 20}, below);
  Outcome outcome;
  uint64_t id = 0;
  for (const TraceRequest& request : trace.requests) {
    GenerationRequest fill;
    fill.scope = "trace";
    fill.prompt = request.ids;
    fill.max_tokens = 0;
    scheduler.Enqueue(std::make_unique<Sequence>(
        SequenceId{++id}, std::move(fill), [](Event&&) {}, clock.Now()));
    while (!scheduler.idle()) {
      scheduler.Admit([&](Sequence& sequence) {
        outcome.read += TokensOf(request, sequence.cached_tokens / kTokens);
        outcome.stored += Sum(sequence.below.read) / kTokens * kTraceTokens;
      });
      for (const Scheduler::Share& share : scheduler.Plan()) {
        const Sequence& sequence = *share.sequence;
        const std::span<const TokenId> tokens(sequence.tokens);
        for (size_t i = 0; i < sequence.blocks.size(); ++i) {
          const uint64_t sum = ChecksumOf(tokens.first((i + 1) * kTokens));
          if (i >= sequence.computed / kTokens) {
            std::memcpy(sequence.block_data[i], &sum, sizeof sum);
          } else {
            outcome.wrong += std::memcmp(sequence.block_data[i], &sum, sizeof sum) != 0;
          }
        }
      }
      scheduler.Advance();
      for (const SequenceId done : scheduler.Satisfied()) scheduler.Remove(done);
      std::this_thread::yield();
    }
    // Between the trace's requests there is time to write.
    while (tier != nullptr && tier->counters().queue_bytes > 0) std::this_thread::yield();
  }
  if (tier != nullptr) outcome.disk = tier->counters();
  return outcome;
}

double Percent(size_t part, size_t whole) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

int Run(const std::string& path, const std::string& folder) {
  const Trace trace = ReadTrace(path);
  fmt::print(
      "{} requests, {} tokens, {} different blocks of {} tokens; {:.2f} % of the tokens can be "
      "read.\n\n",
      trace.requests.size(), trace.tokens, trace.blocks, kTraceTokens,
      Percent(trace.readable, trace.tokens));
  fmt::print(
      "| memory, of all blocks | disk | read, of all tokens | of what can be read | from disk | "
      "wrong blocks |\n");
  fmt::print("|---:|---:|---:|---:|---:|---:|\n");
  FileSystem files;
  for (const size_t percent : {1, 5, 10, 25}) {
    for (const bool on_disk : {false, true}) {
      std::filesystem::remove_all(folder);
      std::unique_ptr<BlockTier> tier;
      if (on_disk) {
        auto store = DiskStore::Open({.folder = folder,
                                      .capacity_bytes = uint64_t{trace.blocks + 1} * (3 * 4096),
                                      .payload_bytes = kPayload},
                                     files);
        if (!store) {
          fmt::print(stderr, "{}\n", store.error().message);
          return 2;
        }
        tier = std::make_unique<BlockTier>(
            *std::move(store),
            BlockTier::Options{.block_bytes = kPayload, .block_tokens = kTokens});
      }
      const Outcome outcome = Replay(trace, trace.blocks * percent / 100, tier.get());
      fmt::print("| {} % | {} | {:.2f} % | {:.2f} % | {:.2f} % | {} |\n", percent,
                 on_disk ? "100 %" : "none", Percent(outcome.read, trace.tokens),
                 Percent(outcome.read, trace.readable), Percent(outcome.stored, trace.tokens),
                 outcome.wrong);
      std::fflush(stdout);
    }
  }
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: tier_replay TRACE FOLDER\n");
    return 2;
  }
  return reprise::Run(argv[1], argv[2]);
}
