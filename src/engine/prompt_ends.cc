#include "engine/prompt_ends.h"

#include <algorithm>
#include <functional>

namespace reprise {
namespace {

uint64_t Hash(std::string_view scope, std::span<const TokenId> prompt) {
  const std::string_view bytes(reinterpret_cast<const char*>(prompt.data()), prompt.size_bytes());
  const std::hash<std::string_view> hash;
  return hash(bytes) * 31 + hash(scope);
}

}  // namespace

size_t PromptEnds::Entry::bytes() const {
  return sizeof(Entry) + scope.size() + prompt.size() * sizeof(TokenId) +
         logits->size() * sizeof(float);
}

PromptEnds::Entries::iterator PromptEnds::Lookup(uint64_t hash, std::string_view scope,
                                                 std::span<const TokenId> prompt) {
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto at = first; at != last; ++at) {
    const Entry& entry = *at->second;
    if (entry.scope == scope && std::ranges::equal(entry.prompt, prompt)) return at->second;
  }
  return entries_.end();
}

void PromptEnds::Drop(Entries::iterator entry) {
  auto [at, last] = by_hash_.equal_range(entry->hash);
  while (at != last && at->second != entry) ++at;
  by_hash_.erase(at);
  bytes_ -= entry->bytes();
  entries_.erase(entry);
}

void PromptEnds::Keep(std::string_view scope, std::span<const TokenId> prompt,
                      std::span<const float> logits) {
  const uint64_t hash = Hash(scope, prompt);
  if (const auto known = Lookup(hash, scope, prompt); known != entries_.end()) Drop(known);
  entries_.push_front({std::string(scope),
                       {prompt.begin(), prompt.end()},
                       std::make_shared<const std::vector<float>>(logits.begin(), logits.end()),
                       hash});
  by_hash_.emplace(hash, entries_.begin());
  bytes_ += entries_.front().bytes();
  while (bytes_ > capacity_bytes_) Drop(std::prev(entries_.end()));
}

PromptEnds::Logits PromptEnds::Find(std::string_view scope, std::span<const TokenId> prompt) {
  const auto known = Lookup(Hash(scope, prompt), scope, prompt);
  if (known == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, known);
  return known->logits;
}

void PromptEnds::Clear() {
  entries_.clear();
  by_hash_.clear();
  bytes_ = 0;
}

}  // namespace reprise
