#pragma once

// Which prefixes prompts share, exactly: a radix tree over their tokens, built once from all of
// them. A node's tokens are shared by the same prompts from its first to its last, so a prompt is a
// path of nodes, and a prefix is a node and a length. O(tokens of all prompts) to build. Not
// thread-safe.

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"

namespace reprise {

class PrefixPaths {
 public:
  struct Step {
    uint32_t node = 0;
    size_t end = 0;  // tokens from the prompt's beginning to the node's end
  };

  // REQUIRES: each has a token; they stay where they are while this is used.
  explicit PrefixPaths(std::span<const std::span<const TokenId>> prompts);

  // Of prompt `index`, from the beginning.
  std::vector<Step> PathOf(size_t index) const;
  // How many nodes there are, so that nodes can be indices.
  size_t nodes() const { return nodes_.size(); }

 private:
  struct Node {
    uint32_t parent = 0;
    uint32_t owner = 0;  // a prompt that goes through it
    size_t begin = 0;
    size_t end = 0;
  };

  uint32_t Insert(uint32_t prompt);  // returns the node that it ends with
  uint32_t Split(uint32_t node, size_t at);
  uint32_t Add(Node node);

  std::span<const std::span<const TokenId>> prompts_;
  std::vector<Node> nodes_;  // [0] is the root, which holds nothing
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<uint32_t> last_nodes_;  // of each prompt
};

}  // namespace reprise
