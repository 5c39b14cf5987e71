#pragma once

// The prefix tree as its pages show it: chains (cache/tree_view.h) cut where another part of the
// request begins (history/prefix_names.h). Values and pure functions; any thread.

#include <boost/json.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/tree_view.h"
#include "history/history.h"
#include "history/prefix_names.h"
#include "text/tokenizer.h"

namespace reprise {

class ShownTree {
 public:
  // `labels` as LabelPrefixes gives them; `now` is when the view was taken.
  ShownTree(TreeView view, std::vector<std::vector<PrefixLabel>> labels, size_t most_nodes,
            WallTime now);

  // {"block_tokens", "tokens", "blocks", "nodes", "left_out"}; the nodes' tenants for
  // administrators.
  boost::json::object Page(const Tokenizer& tokenizer, bool admin) const;
  // The one of this name, with its text and its path.
  std::optional<boost::json::object> Details(std::string_view name, const Tokenizer& tokenizer,
                                             bool admin) const;
  // Of the last block of the node of this name: up to there it is kept.
  std::optional<TreeNodeId> EndOf(std::string_view name) const;

 private:
  struct Node {
    size_t parent = TreeChain::kNone;  // index of a node
    size_t chain = 0;
    size_t first_block = 0;  // of the chain's
    size_t blocks = 0;
    size_t tokens = 0;
  };

  const TreeChain& ChainOf(const Node& node) const { return view_.chains[node.chain]; }
  TreeNodeId IdOf(const Node& node) const { return ChainOf(node).nodes[node.first_block]; }
  const TokenId* TokensOf(const Node& node) const;
  boost::json::object Shown(const Node& node, const Tokenizer& tokenizer, bool admin) const;
  const Node* Find(std::string_view name) const;

  TreeView view_;
  std::vector<std::vector<PrefixLabel>> labels_;
  WallTime now_;
  std::vector<Node> nodes_;  // parents before children
  size_t left_out_nodes_ = 0;
  size_t left_out_tokens_ = 0;
};

// "n" and sixteen hexadecimal digits.
std::string ToText(TreeNodeId id);
std::optional<TreeNodeId> ReadTreeNodeId(std::string_view name);

}  // namespace reprise
