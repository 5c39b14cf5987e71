#include "simulation/replica_model.h"

#include <algorithm>

#include "base/check.h"

namespace reprise {
namespace {

constexpr TokenId kNoNumber = -1;
constexpr double kSlowest = 0.05;  // of its pace; so much prompts get beside any number of replies

size_t TokensOf(const TraceRequest& request, size_t blocks, size_t block_tokens) {
  return std::min<size_t>(blocks * block_tokens, request.tokens);
}

}  // namespace

ReplicaModel::ReplicaModel(const Options& options, BlockWatcher* watcher)
    : options_(options),
      watcher_(watcher),
      pool_(BlockPool::Create(options.memory_blocks, 1).value()),
      number_of_(options.memory_blocks, kNoNumber) {
  cache_ = std::make_unique<PrefixCache>(
      pool_.get(), &clock_,
      PrefixCache::Options{
          .block_tokens = 1, .retention = Duration::max(), .remembered_losses = 1});
}

double ReplicaModel::Rate() const {
  const double share = options_.pace.seconds_per_token / options_.pace.stream_seconds_per_token;
  return std::max(kSlowest, 1 - static_cast<double>(streams_) * share);
}

double ReplicaModel::WorkLeft(double now) const {
  return current_ ? std::max(0.0, current_->work_seconds - (now - since_) * Rate()) : 0;
}

void ReplicaModel::Advance(double now) {
  if (current_) current_->work_seconds = WorkLeft(now);
  since_ = now;
}

// A block of the pool. What it held before, if anything, was evicted for it.
std::optional<BlockId> ReplicaModel::Allocate() {
  const std::optional<BlockId> block = cache_->Allocate();
  if (!block) return std::nullopt;
  TokenId& number = number_of_[block->value];
  if (number != kNoNumber && watcher_ != nullptr) {
    watcher_->Removed(options_.number, Level::kMemory, number);
  }
  number = kNoNumber;
  return block;
}

ReplicaModel::Start ReplicaModel::TryBegin(const Trace& trace, double now, Begun& begun) {
  if (current_ || waiting_.empty()) return Start::kNothing;
  const size_t index = waiting_.front();
  const TraceRequest& request = trace.requests[index];
  const std::span<const TokenId> blocks = request.blocks;
  PrefixMatch match = cache_->Match("", blocks, blocks.size());
  const size_t in_memory = match.blocks.size();
  if (cache_->available_blocks() < blocks.size() - in_memory) return Start::kNoRoom;

  const size_t loaded = OnDisk(blocks, in_memory);
  for (size_t i = in_memory; i < blocks.size(); ++i) {
    const std::optional<BlockId> block = Allocate();
    CHECK(block.has_value(), "what is available can be allocated");
    const BlockId kept = cache_->Publish("", blocks.first(i + 1), i, *block, match.lease);
    CHECK(kept == *block, "what did not match is not there");
    pool_->Release(kept);
    number_of_[kept.value] = blocks[i];
    if (watcher_ != nullptr) watcher_->Stored(options_.number, Level::kMemory, blocks[i]);
  }
  for (const TokenId block : blocks) WriteToDisk(block);
  waiting_.pop_front();
  leases_.emplace(index, std::move(match.lease));

  const size_t read = TokensOf(request, in_memory, options_.block_tokens);
  const size_t known = TokensOf(request, in_memory + loaded, options_.block_tokens);
  const double work = options_.pace.ComputeSeconds(static_cast<double>(known), request.tokens) +
                      static_cast<double>(known - read) * options_.pace.disk_seconds_per_token;
  Advance(now);
  current_ = Current{index, work};
  busy_seconds_ += work;
  last_seconds_ = work;
  begun = {.request = index, .read_tokens = read, .loaded_tokens = known - read};
  return Start::kBegun;
}

size_t ReplicaModel::DropFirst() {
  const size_t request = waiting_.front();
  waiting_.pop_front();
  return request;
}

std::optional<std::pair<size_t, double>> ReplicaModel::PromptEnd() const {
  if (!current_) return std::nullopt;
  return std::pair(current_->request, since_ + current_->work_seconds / Rate());
}

double ReplicaModel::EndPrompt(const Trace& trace, double now) {
  const TraceRequest& request = trace.requests[current_->request];
  current_.reset();
  Advance(now);
  ++streams_;
  busy_seconds_ += request.reply_tokens * options_.pace.seconds_per_token;
  return now + request.reply_tokens * options_.pace.stream_seconds_per_token;
}

void ReplicaModel::EndReply(size_t request, double now) {
  Advance(now);
  --streams_;
  leases_.erase(request);
}

double ReplicaModel::AheadSeconds(const Trace& trace, double now) const {
  double ahead = WorkLeft(now);
  for (const size_t index : waiting_) {
    const TraceRequest& request = trace.requests[index];
    const size_t read = TokensOf(request, cache_->Peek("", request.blocks), options_.block_tokens);
    ahead += options_.pace.ComputeSeconds(static_cast<double>(read), request.tokens);
  }
  return ahead / Rate();
}

// How many blocks from `first` on can be read from disk.
size_t ReplicaModel::OnDisk(std::span<const TokenId> blocks, size_t first) {
  size_t end = first;
  while (end < blocks.size() && disk_.contains(blocks[end])) ++end;
  return end - first;
}

void ReplicaModel::WriteToDisk(TokenId number) {
  if (options_.disk_blocks == 0) return;
  if (disk_.Use(number) && watcher_ != nullptr) {
    watcher_->Stored(options_.number, Level::kDisk, number);
  }
  if (disk_.size() <= options_.disk_blocks) return;
  const TokenId oldest = disk_.DropOldest();
  if (watcher_ != nullptr) watcher_->Removed(options_.number, Level::kDisk, oldest);
}

}  // namespace reprise
