#include "engine/block_journal.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/fleet_limits.h"

namespace reprise {
namespace {

// Behind the run's last block, or as a run of its own.
void AddTo(std::vector<BlockRun>& runs, std::optional<BlockName> parent, BlockName block,
           std::span<const TokenId> tokens) {
  if (runs.empty() || parent != runs.back().blocks.back()) runs.push_back({.parent = parent});
  BlockRun& run = runs.back();
  run.blocks.push_back(block);
  run.tokens.insert(run.tokens.end(), tokens.begin(), tokens.end());
}

// A snapshot's parts, sent as they fill up.
class SnapshotWriter final : public BlockListener {
 public:
  SnapshotWriter(const std::vector<BlockKey>& keys, uint64_t sequence, BlockView view,
                 const BlockSink& sink)
      : keys_(keys), sequence_(sequence), view_(view), sink_(sink) {
    part_ = Part();
    part_.begins = true;
  }

  void OnStored(std::string_view /*scope*/, std::optional<BlockId> parent, BlockId block,
                std::span<const TokenId> tokens) override {
    if (!wanted_) return;
    if (blocks_ == limits::kMaxToldBlocks) Send();
    std::optional<BlockName> behind;
    if (parent) behind = NameOf(keys_[parent->value]);
    if (view_ == BlockView::kNamesEverywhere) tokens = {};
    AddTo(part_.stored, behind, NameOf(keys_[block.value]), tokens);
    ++blocks_;
  }
  void OnRemoved(BlockId /*block*/) override {}

  // False: the sink wants no more.
  bool End() {
    part_.ends = true;
    if (wanted_) Send();
    return wanted_;
  }

 private:
  BlockChanges Part() const {
    BlockChanges part;
    part.sequence = sequence_;
    part.kind = BlockChanges::Kind::kSnapshot;
    return part;
  }
  void Send() {
    wanted_ = sink_(std::make_shared<const BlockChanges>(std::exchange(part_, Part())));
    blocks_ = 0;
  }

  const std::vector<BlockKey>& keys_;
  const uint64_t sequence_;
  const BlockView view_;
  const BlockSink& sink_;
  BlockChanges part_;
  size_t blocks_ = 0;  // of the part
  bool wanted_ = true;
};

}  // namespace

BlockJournal::BlockJournal(const Sha256& identity, size_t block_count)
    : identity_(identity), keys_(block_count) {}

void BlockJournal::OnStored(std::string_view scope, std::optional<BlockId> parent, BlockId block,
                            std::span<const TokenId> tokens) {
  keys_[block.value] = ChildKey(parent ? keys_[parent->value] : RootKey(identity_, scope), tokens);
  ++held_;
  if (watchers_.empty()) return;
  Change change{.block = NameOf(keys_[block.value]), .stored = true};
  if (parent) change.parent = NameOf(keys_[parent->value]);
  if (WantsTokens()) change.tokens.assign(tokens.begin(), tokens.end());
  changes_.push_back(std::move(change));
}

void BlockJournal::OnRemoved(BlockId block) {
  --held_;
  if (!watchers_.empty()) changes_.push_back({.block = NameOf(keys_[block.value])});
}

bool BlockJournal::WantsTokens() const {
  return std::ranges::any_of(watchers_, [](const Watcher& watcher) {
    return watcher.view == BlockView::kMemoryWithTokens;
  });
}

void BlockJournal::Watch(const PrefixCache& cache, BlockView view, BlockSink sink) {
  Tell();
  if (!watchers_.empty()) Send({});  // who wants no more goes
  SnapshotWriter snapshot(keys_, sequence_, view, sink);
  cache.TellFullBlocks(snapshot);
  if (snapshot.End()) watchers_.push_back({view, std::move(sink)});
}

// What was there neither before nor is now, or both: as if nothing had been.
void BlockJournal::DropPassing() {
  std::unordered_map<BlockName, int> balance;  // +1 came, -1 went
  for (const Change& change : changes_) balance[change.block] += change.stored ? 1 : -1;
  if (balance.size() == changes_.size()) return;
  // Of several changes of one block the last counts, if they come to anything.
  std::vector<Change> left;
  left.reserve(changes_.size());
  for (size_t i = changes_.size(); i-- > 0;) {
    if (std::exchange(balance[changes_[i].block], 0) != 0) left.push_back(std::move(changes_[i]));
  }
  std::ranges::reverse(left);
  changes_ = std::move(left);
}

void BlockJournal::Tell() {
  if (changes_.empty()) return;
  DropPassing();
  std::vector<Change> changes = std::exchange(changes_, {});
  BlockChanges told;
  if (held_ == 0) {
    // What was stored meanwhile has passed.
    told.cleared = !changes.empty();
    changes.clear();
  }
  size_t blocks = 0;
  for (const Change& change : changes) {
    if (blocks++ == limits::kMaxToldBlocks) {
      Send(std::exchange(told, {}));
      blocks = 1;
    }
    if (change.stored) {
      AddTo(told.stored, change.parent, change.block, change.tokens);
    } else {
      told.removed.push_back(change.block);
    }
  }
  if (told.cleared || blocks > 0) Send(std::move(told));
}

void BlockJournal::Send(BlockChanges told) {
  told.sequence = ++sequence_;
  const auto whole = std::make_shared<const BlockChanges>(told);
  for (BlockRun& run : told.stored) run.tokens = {};
  const auto names = std::make_shared<const BlockChanges>(std::move(told));
  std::erase_if(watchers_, [&](const Watcher& watcher) {
    return !watcher.sink(watcher.view == BlockView::kMemoryWithTokens ? whole : names);
  });
}

}  // namespace reprise
