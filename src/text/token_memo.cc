#include "text/token_memo.h"

#include <functional>

namespace reprise {
namespace {

// A list node, a hash node and its bucket, and what the allocator adds to four pieces.
constexpr size_t kEntryOverheadBytes = 192;

}  // namespace

size_t TokenMemo::Entry::bytes() const {
  return tenant.size() + segment.size() + ids.size() * sizeof(TokenId) + kEntryOverheadBytes;
}

size_t TokenMemo::KeyHash::operator()(const Key& key) const {
  constexpr size_t kOdd = 0x9E3779B97F4A7C15;  // so that the two hashes do not cancel out
  return std::hash<std::string_view>{}(key.first) * kOdd +
         std::hash<std::string_view>{}(key.second);
}

bool TokenMemo::AppendKnown(std::string_view tenant, std::string_view segment,
                            std::vector<TokenId>* ids) {
  const std::lock_guard lock(mutex_);
  const auto found = by_text_.find({tenant, segment});
  if (found == by_text_.end()) return false;
  const Entries::iterator entry = found->second;
  entries_.splice(entries_.begin(), entries_, entry);
  ids->insert(ids->end(), entry->ids.begin(), entry->ids.end());
  return true;
}

void TokenMemo::Remember(std::string_view tenant, std::string_view segment, const TokenId* ids,
                         size_t count) {
  Entry entry{std::string(tenant), std::string(segment), std::vector<TokenId>(ids, ids + count)};
  const size_t bytes = entry.bytes();
  if (bytes > capacity_bytes_) return;
  const std::lock_guard lock(mutex_);
  if (by_text_.contains({tenant, segment})) return;
  while (used_bytes_ + bytes > capacity_bytes_) {
    used_bytes_ -= entries_.back().bytes();
    by_text_.erase({entries_.back().tenant, entries_.back().segment});
    entries_.pop_back();
  }
  entries_.push_front(std::move(entry));
  by_text_.emplace(Key(entries_.front().tenant, entries_.front().segment), entries_.begin());
  used_bytes_ += bytes;
}

size_t TokenMemo::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_bytes_;
}

}  // namespace reprise
