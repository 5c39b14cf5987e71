#include "cache/drop_log.h"

#include <algorithm>

#include "base/common_tokens.h"
#include "cache/path_hash.h"

namespace reprise::internal {
namespace {

constexpr uint64_t kFirstTokenSalt = 0x66697273745F746FULL;  // sets the two kinds of keys apart

}  // namespace

uint64_t DropLog::BlockKey(uint64_t parent, Tokens tokens) const {
  return ExtendPathHash(parent, tokens.first(block_tokens_));
}

uint64_t DropLog::FirstTokenKey(uint64_t parent, Tokens tokens) {
  return ExtendPathHash(parent ^ kFirstTokenSalt, tokens.first(1));
}

void DropLog::Forget(size_t place) {
  for (const uint64_t key : records_[place].keys) {
    const auto found = places_.find(key);
    if (found != places_.end() && found->second == place) places_.erase(found);
  }
}

void DropLog::Add(uint64_t parent, Tokens tokens, const Loss& loss) {
  if (capacity_ == 0) return;
  const size_t place = next_;
  if (place == records_.size()) {
    records_.emplace_back();
    tokens_.resize(records_.size() * block_tokens_);
  } else {
    Forget(place);
  }
  next_ = (next_ + 1) % capacity_;

  const uint64_t first = FirstTokenKey(parent, tokens);
  const uint64_t block = tokens.size() == block_tokens_ ? BlockKey(parent, tokens) : first;
  records_[place] = {{block, first}, tokens.size(), loss};
  std::ranges::copy(tokens, &tokens_[place * block_tokens_]);
  for (const uint64_t key : records_[place].keys) places_[key] = place;
}

std::optional<Loss> DropLog::Find(uint64_t parent, Tokens rest, size_t known) const {
  if (records_.empty()) return std::nullopt;
  auto found = places_.end();
  if (rest.size() >= block_tokens_) found = places_.find(BlockKey(parent, rest));
  if (found == places_.end()) found = places_.find(FirstTokenKey(parent, rest));
  if (found == places_.end()) return std::nullopt;
  const size_t place = found->second;
  const Tokens dropped(&tokens_[place * block_tokens_], records_[place].token_count);
  if (CommonTokens(dropped, rest) <= known) return std::nullopt;
  return records_[place].loss;
}

}  // namespace reprise::internal
