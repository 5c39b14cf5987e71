#include "tiers/block_tier.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"

namespace reprise {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Blocks that are written and synchronised together.
constexpr size_t kBatchBlocks = 16;

constexpr int kWriterNiceness = 10;

// Mere uses wait so long for something else to be written with.
constexpr auto kUseInterval = std::chrono::seconds(2);

// Of a new measurement, in what is believed next.
constexpr double kWeight = 0.25;

// One slow block does not count, as long as it is not more than this share of the whole.
constexpr double kGrace = 0.02;

// A store that was too slow is tried again after this time, with one block.
constexpr auto kTryAgain = std::chrono::seconds(30);

std::string_view Name(TierKind kind) {
  return kind == TierKind::kDisk ? "the cache on disk" : "the shared cache";
}

// Before its threads begin.
std::unique_ptr<BlockStore> Listened(std::unique_ptr<BlockStore> store, StoreListener& listener) {
  store->SetListener(&listener);
  return store;
}

double SecondsSince(SteadyClock::time_point begin) {
  return std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

}  // namespace

std::vector<TierFetch::Block> TierFetch::Take(bool& done) {
  std::vector<Block> blocks;
  {
    const std::lock_guard lock(mutex_);
    blocks.swap(blocks_);
    done = done_;
  }
  changed_.notify_all();
  return blocks;
}

void TierFetch::Cancel() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    blocks_.clear();
  }
  changed_.notify_all();
}

BlockTier::BlockTier(std::unique_ptr<BlockStore> store, Options options)
    : options_(options),
      journal_(options.kind == TierKind::kDisk ? BlockPlace::kDisk : BlockPlace::kShared),
      store_(Listened(std::move(store), journal_)),
      writer_([this] { WriteLoop(); }),
      reader_([this] { ReadLoop(); }) {}

BlockTier::~BlockTier() {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    for (const auto& order : orders_) order->Cancel();
    orders_.clear();
    writer_wakes_.notify_all();
    reader_wakes_.notify_all();
    const bool flushed =
        writer_wakes_.wait_for(lock, options_.flush, [this] { return writer_ended_; });
    if (!flushed) {
      LogWarning("{}: {} blocks could not be written in time", Name(options_.kind),
                 offered_bytes_ / options_.block_bytes);
      items_.clear();
    }
  }
  writer_.join();
  reader_.join();
}

TierFetch::Block BlockTier::TakeBuffer() {
  {
    const std::lock_guard lock(mutex_);
    if (!buffers_.empty()) {
      TierFetch::Block buffer = std::move(buffers_.back());
      buffers_.pop_back();
      return buffer;
    }
  }
  return std::make_unique_for_overwrite<std::byte[]>(options_.block_bytes);
}

void BlockTier::Recycle(TierFetch::Block buffer) {
  const std::lock_guard lock(mutex_);
  if (buffers_.size() * options_.block_bytes < options_.queue_bytes / 4) {
    buffers_.push_back(std::move(buffer));
  }
}

bool BlockTier::Offer(const BlockUse& use, std::span<const TokenId> tokens,
                      const std::byte* payload) {
  {
    const std::lock_guard lock(mutex_);
    if (offered_bytes_ + options_.block_bytes > options_.queue_bytes) {
      ++counters_.queue_dropped;
      return false;
    }
    offered_bytes_ += options_.block_bytes;
  }
  Offered block{use, {tokens.begin(), tokens.end()}, TakeBuffer()};
  std::memcpy(block.payload.get(), payload, options_.block_bytes);
  {
    const std::lock_guard lock(mutex_);
    items_.emplace_back(std::move(block));
    write_soon_ = true;
  }
  writer_wakes_.notify_one();
  return true;
}

void BlockTier::Use(std::vector<BlockUse> uses) {
  const bool promised =
      std::ranges::any_of(uses, [](const BlockUse& use) { return use.keep.ttl > 0; });
  {
    const std::lock_guard lock(mutex_);
    if (items_.size() >= limits::kMaxTierItems && !promised) return;
    items_.emplace_back(std::move(uses));
    write_soon_ = write_soon_ || promised;
  }
  if (promised) writer_wakes_.notify_one();
}

void BlockTier::Clear(std::function<void(const Status&)> done) {
  {
    const std::lock_guard lock(mutex_);
    for (const Item& item : items_) {
      if (std::holds_alternative<Offered>(item)) offered_bytes_ -= options_.block_bytes;
    }
    items_.clear();
    clears_.push_back(std::move(done));
  }
  writer_wakes_.notify_one();
}

void BlockTier::Watch(BlockSink sink) {
  {
    const std::lock_guard lock(mutex_);
    watches_.push_back(std::move(sink));
  }
  writer_wakes_.notify_one();
}

bool BlockTier::HasRoomForPromise(size_t blocks) const {
  const StoreSizes sizes = store_->sizes();
  return sizes.promised_bytes + blocks * options_.block_bytes <= sizes.capacity_bytes / 2;
}

BlockTier::Counters BlockTier::counters() const {
  const StoreSizes sizes = store_->sizes();
  const std::lock_guard lock(mutex_);
  Counters counters = counters_;
  counters.kind = options_.kind;
  counters.sizes = sizes;
  counters.queue_bytes = offered_bytes_;
  return counters;
}

// One line a kind: what fails once fails again.
void BlockTier::CountFailure(const Error& error, bool reading) {
  const std::lock_guard lock(mutex_);
  const bool corrupt = error.code == ErrorCode::kCorrupt;
  ++(corrupt ? counters_.corrupt : reading ? counters_.read_failures : counters_.write_failures);
  bool& logged = corrupt ? corrupt_logged_ : reading ? read_fault_logged_ : write_fault_logged_;
  if (!std::exchange(logged, true)) {
    LogWarning("{}: {}; {} (said once)", Name(options_.kind), error.message,
               reading ? "computed instead" : "not kept there");
  }
}

// ---- the writer -------------------------------------------------------------------------------

void BlockTier::WriteLoop() {
  NameTraceThread("tier writer");
  // It has time; who computes goes first. Linux has a niceness for each thread.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kWriterNiceness);
  std::unique_lock lock(mutex_);
  for (;;) {
    writer_wakes_.wait_for(lock, kUseInterval, [this] {
      return stopping_ || write_soon_ || !clears_.empty() || !watches_.empty();
    });
    if (!watches_.empty()) {
      std::vector<BlockSink> watches = std::exchange(watches_, {});
      lock.unlock();
      for (BlockSink& sink : watches) BeginWatch(std::move(sink));
      lock.lock();
      continue;
    }
    if (!clears_.empty()) {
      const auto clears = std::exchange(clears_, {});
      lock.unlock();
      Status cleared = store_->Clear();
      if (!cleared) {
        cleared = Fail(ErrorCode::kIo, fmt::format("{} was not emptied: {}", Name(options_.kind),
                                                   cleared.error().message));
        LogWarning("{}", cleared.error().message);
      }
      journal_.Tell();
      for (const auto& done : clears) done(cleared);
      lock.lock();
      continue;
    }
    if (items_.empty() && stopping_) break;
    std::vector<Offered> blocks;
    std::vector<BlockUse> uses;
    while (!items_.empty() && blocks.size() < kBatchBlocks) {
      if (auto* block = std::get_if<Offered>(&items_.front())) {
        blocks.push_back(std::move(*block));
      } else {
        const auto& used = std::get<std::vector<BlockUse>>(items_.front());
        uses.insert(uses.end(), used.begin(), used.end());
      }
      items_.pop_front();
    }
    write_soon_ = !items_.empty();
    lock.unlock();
    WriteBatch(std::move(blocks), std::move(uses));
    lock.lock();
  }
  writer_ended_ = true;
  writer_wakes_.notify_all();
}

void BlockTier::BeginWatch(BlockSink sink) {
  const TraceScope trace("tell what is stored");
  if (const Status told = journal_.Watch(*store_, std::move(sink)); !told) {
    CountFailure(told.error(), true);
  }
}

void BlockTier::WriteBatch(std::vector<Offered> blocks, std::vector<BlockUse> uses) {
  std::vector<BlockWrite> writes;
  writes.reserve(blocks.size());
  for (const Offered& block : blocks) {
    writes.push_back({block.use, block.tokens, {block.payload.get(), options_.block_bytes}});
  }
  Result<WriteOutcome> outcome;
  if (!writes.empty()) outcome = store_->Write(writes, WallSecondsNow());
  if (!outcome) CountFailure(outcome.error(), false);
  if (!uses.empty()) {
    if (const Status used = store_->Use(uses); !used) CountFailure(used.error(), false);
  }
  journal_.Tell();
  for (Offered& block : blocks) Recycle(std::move(block.payload));
  const std::lock_guard lock(mutex_);
  offered_bytes_ -= blocks.size() * options_.block_bytes;
  if (!outcome) return;
  counters_.written += outcome->written;
  counters_.refused += outcome->refused;
  counters_.evicted += outcome->evicted;
  counters_.expired += outcome->expired;
}

// ---- the reader -------------------------------------------------------------------------------

std::shared_ptr<TierFetch> BlockTier::Fetch(TierFetch::Order order) {
  std::shared_ptr<TierFetch> fetch(new TierFetch(std::move(order)));
  {
    const std::lock_guard lock(mutex_);
    orders_.push_back(fetch);
  }
  reader_wakes_.notify_one();
  return fetch;
}

void BlockTier::ReadLoop() {
  NameTraceThread("tier reader");
  for (;;) {
    std::shared_ptr<TierFetch> fetch;
    {
      std::unique_lock lock(mutex_);
      reader_wakes_.wait(lock, [this] { return stopping_ || !orders_.empty(); });
      if (stopping_) return;
      fetch = std::move(orders_.front());
      orders_.pop_front();
    }
    const TierMiss miss = Serve(*fetch);
    journal_.Tell();
    ++progress_;
    {
      const std::lock_guard lock(fetch->mutex_);
      fetch->miss_ = miss;
      fetch->done_ = true;
    }
    fetch->order_.on_news();
  }
}

bool BlockTier::WorthReading(size_t blocks, double compute_seconds) const {
  if (seconds_per_block_ == 0) return true;
  const double expected = static_cast<double>(blocks) * seconds_per_block_;
  return expected <= options_.worthwhile * compute_seconds ||
         SteadyClock::now() - slow_since_ > kTryAgain;
}

TierMiss BlockTier::Serve(TierFetch& fetch) {
  const TierFetch::Order& order = fetch.order_;
  const Chain chain = FindChain(fetch);
  const size_t found = chain.keys.size();
  if (found == 0) return chain.end;
  const double compute_each = chain.compute_seconds / static_cast<double>(found);
  if (!WorthReading(found, chain.compute_seconds)) {
    const std::lock_guard lock(mutex_);
    ++counters_.slow;
    return TierMiss::kSlow;
  }
  store_->Announce(chain.keys);
  const size_t window = std::max<size_t>(options_.queue_bytes / options_.block_bytes, 2);
  const double grace = kGrace * order.compute_seconds;
  double reading = 0;
  for (size_t i = 0; i < found; ++i) {
    {
      std::unique_lock lock(fetch.mutex_);
      fetch.changed_.wait(lock, [&] { return fetch.cancelled_ || fetch.blocks_.size() < window; });
      if (fetch.cancelled_) return TierMiss::kNone;
    }
    TierFetch::Block block = TakeBuffer();
    const SteadyClock::time_point begin = SteadyClock::now();
    const Status read =
        store_->Read(chain.keys[i], chain.tokens[i], {block.get(), options_.block_bytes});
    const double took = SecondsSince(begin);
    if (!read) {
      const ErrorCode code = read.error().code;
      if (code == ErrorCode::kNotFound) return store_->WhyMissing(chain.keys[i]);
      CountFailure(read.error(), true);
      return code == ErrorCode::kCorrupt ? TierMiss::kChecksum : TierMiss::kFailed;
    }
    ++progress_;
    reading += took;
    seconds_per_block_ =
        seconds_per_block_ == 0 ? took : seconds_per_block_ + kWeight * (took - seconds_per_block_);
    {
      const std::lock_guard lock(mutex_);
      ++counters_.read;
      counters_.seconds_saved += std::max(compute_each - took, 0.0);
      counters_.bytes_per_second = static_cast<double>(options_.block_bytes) / seconds_per_block_;
    }
    {
      const std::lock_guard lock(fetch.mutex_);
      fetch.blocks_.push_back(std::move(block));
    }
    order.on_news();
    if (reading > compute_each * static_cast<double>(i + 1) * options_.worthwhile + grace) {
      slow_since_ = SteadyClock::now();
      const std::lock_guard lock(mutex_);
      ++counters_.slow;
      return TierMiss::kSlow;
    }
  }
  return chain.end;
}

}  // namespace reprise
