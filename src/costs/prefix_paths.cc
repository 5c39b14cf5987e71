#include "costs/prefix_paths.h"

#include <algorithm>

namespace reprise {
namespace {

uint64_t ChildKey(uint32_t parent, TokenId first) {
  return uint64_t{parent} << 32 | static_cast<uint32_t>(first);
}

}  // namespace

PrefixPaths::PrefixPaths(std::span<const std::span<const TokenId>> prompts) : prompts_(prompts) {
  nodes_.emplace_back();
  for (uint32_t i = 0; i < prompts.size(); ++i) last_nodes_.push_back(Insert(i));
}

uint32_t PrefixPaths::Add(Node node) {
  const auto id = static_cast<uint32_t>(nodes_.size());
  children_[ChildKey(node.parent, prompts_[node.owner][node.begin])] = id;
  nodes_.push_back(node);
  return id;
}

// The node keeps what is behind `at`, so that prompts that end with it still do.
uint32_t PrefixPaths::Split(uint32_t node, size_t at) {
  Node upper = nodes_[node];
  upper.end = at;
  const uint32_t id = Add(upper);
  nodes_[node].begin = at;
  nodes_[node].parent = id;
  children_[ChildKey(id, prompts_[nodes_[node].owner][at])] = node;
  return id;
}

uint32_t PrefixPaths::Insert(uint32_t prompt) {
  const std::span<const TokenId> tokens = prompts_[prompt];
  uint32_t node = 0;
  for (size_t at = 0; at < tokens.size();) {
    const auto child = children_.find(ChildKey(node, tokens[at]));
    if (child == children_.end()) return Add({node, prompt, at, tokens.size()});
    const Node& next = nodes_[child->second];
    const size_t end = std::min(next.end, tokens.size());
    const auto differs = std::mismatch(tokens.begin() + static_cast<ptrdiff_t>(at),
                                       tokens.begin() + static_cast<ptrdiff_t>(end),
                                       prompts_[next.owner].begin() + static_cast<ptrdiff_t>(at));
    at = static_cast<size_t>(differs.first - tokens.begin());
    node = at == next.end ? child->second : Split(child->second, at);
  }
  return node;
}

std::vector<PrefixPaths::Step> PrefixPaths::PathOf(size_t index) const {
  std::vector<Step> path;
  for (uint32_t node = last_nodes_[index]; node != 0; node = nodes_[node].parent) {
    path.push_back({node, nodes_[node].end});
  }
  std::ranges::reverse(path);
  return path;
}

}  // namespace reprise
