#include "api/shown_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "api/shown_time.h"
#include "base/limits.h"
#include "text/detokenizer.h"
#include "text/utf8.h"

namespace reprise {
namespace json = boost::json;
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

json::value SecondsOrNull(const std::optional<Duration>& duration) {
  if (!duration || *duration == Duration::max()) return nullptr;
  return Seconds(*duration);
}

const char* StateOf(const TreeChain& chain) {
  if (chain.leases > 0) return "leased";
  return chain.promised ? "promised" : "automatic";
}

// The first characters.
std::string NodeExcerpt(const TokenId* tokens, size_t count, const Tokenizer& tokenizer) {
  constexpr size_t kMostBytes = 4 * limits::kExcerptCharacters;
  std::string text;
  for (size_t i = 0; i < count && text.size() < kMostBytes; ++i) text += tokenizer.Piece(tokens[i]);
  text = ReplaceInvalidUtf8(text);
  size_t characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (BeginsCharacter(text[i]) && characters++ == limits::kExcerptCharacters) {
      return text.substr(0, i);
    }
  }
  return text;
}

}  // namespace

std::string ToText(TreeNodeId id) { return fmt::format("n{:016x}", id.value); }

std::optional<TreeNodeId> ReadTreeNodeId(std::string_view name) {
  constexpr size_t kDigits = 16;
  if (name.size() != 1 + kDigits || name[0] != 'n') return std::nullopt;
  TreeNodeId id;
  const char* const end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + 1, end, id.value, 16);
  if (error != std::errc() || at != end) return std::nullopt;
  return id;
}

ShownTree::ShownTree(TreeView view, std::vector<std::vector<PrefixLabel>> labels, size_t most_nodes,
                     WallTime now)
    : view_(std::move(view)), labels_(std::move(labels)), now_(now) {
  left_out_nodes_ = view_.left_out_chains;
  left_out_tokens_ = view_.left_out_tokens;
  std::vector<size_t> last(view_.chains.size());  // node of each chain
  for (size_t i = 0; i < view_.chains.size(); ++i) {
    const TreeChain& chain = view_.chains[i];
    size_t parent = chain.parent == TreeChain::kNone ? TreeChain::kNone : last[chain.parent];
    for (size_t block = 0; block < chain.nodes.size();) {
      Node node = {parent, i, block, 0, 0};
      while (block < chain.nodes.size() && labels_[i][block] == labels_[i][node.first_block]) {
        const size_t begin = block * view_.block_tokens;
        node.tokens += std::min(view_.block_tokens, chain.tokens.size() - begin);
        ++node.blocks;
        ++block;
      }
      parent = nodes_.size();
      nodes_.push_back(node);
    }
    last[i] = parent;
  }
  // A chain's nodes stand together, so a parent is never behind its children: the tail goes.
  for (; nodes_.size() > most_nodes; nodes_.pop_back()) {
    ++left_out_nodes_;
    left_out_tokens_ += nodes_.back().tokens;
  }
}

const TokenId* ShownTree::TokensOf(const Node& node) const {
  return ChainOf(node).tokens.data() + node.first_block * view_.block_tokens;
}

json::object ShownTree::Shown(const Node& node, const Tokenizer& tokenizer, bool admin) const {
  const TreeChain& chain = ChainOf(node);
  const PrefixLabel& label = labels_[node.chain][node.first_block];
  const size_t before = node.first_block * view_.block_tokens;
  const TreeScope& scope = view_.scopes[chain.scope];
  json::object last_used;
  AddTime(now_ - std::chrono::duration_cast<WallTime::duration>(chain.idle), now_, last_used);
  json::array promises;
  if (node.first_block + node.blocks == chain.nodes.size()) {
    for (const TreePromise& promise : chain.promises) {
      promises.push_back({{"tokens", promise.tokens},
                          {"ttl_seconds", Seconds(promise.ttl)},
                          {"expires_in", SecondsOrNull(promise.left)}});
    }
  }
  json::object shown = {{"id", ToText(IdOf(node))},
                        {"parent", nullptr},
                        {"begin", chain.begin + before},
                        {"tokens", node.tokens},
                        {"blocks", node.blocks},
                        {"tokens_below", chain.tokens_below - before},
                        {"part", ToText(label)},
                        {"name", NameOf(label)},
                        {"excerpt", NodeExcerpt(TokensOf(node), node.tokens, tokenizer)},
                        {"state", StateOf(chain)},
                        {"readers", chain.leases},
                        {"reads", chain.reads},
                        {"last_used", std::move(last_used)},
                        {"expires_in", SecondsOrNull(chain.left)},
                        {"promises", std::move(promises)},
                        {"cache_key", ReplaceInvalidUtf8(scope.cache_key)}};
  if (node.parent != TreeChain::kNone) shown["parent"] = ToText(IdOf(nodes_[node.parent]));
  if (admin) shown["tenant"] = ReplaceInvalidUtf8(scope.tenant);
  return shown;
}

json::object ShownTree::Page(const Tokenizer& tokenizer, bool admin) const {
  json::array nodes;
  nodes.reserve(nodes_.size());
  for (const Node& node : nodes_) nodes.push_back(Shown(node, tokenizer, admin));
  return {{"block_tokens", view_.block_tokens},
          {"tokens", view_.tokens},
          {"blocks", view_.blocks},
          {"nodes", std::move(nodes)},
          {"left_out", {{"nodes", left_out_nodes_}, {"tokens", left_out_tokens_}}}};
}

const ShownTree::Node* ShownTree::Find(std::string_view name) const {
  const std::optional<TreeNodeId> id = ReadTreeNodeId(name);
  if (!id) return nullptr;
  const auto found =
      std::ranges::find_if(nodes_, [&](const Node& node) { return IdOf(node) == *id; });
  return found == nodes_.end() ? nullptr : &*found;
}

std::optional<json::object> ShownTree::Details(std::string_view name, const Tokenizer& tokenizer,
                                               bool admin) const {
  const Node* node = Find(name);
  if (node == nullptr) return std::nullopt;
  json::object shown = Shown(*node, tokenizer, admin);
  json::array text;
  const size_t count = std::min(node->tokens, limits::kMaxShownNodeTokens);
  for (size_t i = 0; i < count; ++i) {
    const TokenId token = TokensOf(*node)[i];
    text.push_back({{"token", token}, {"text", ReplaceInvalidUtf8(tokenizer.Piece(token))}});
  }
  shown["text"] = std::move(text);
  std::vector<std::string> path;
  for (const Node* at = node; at != nullptr;
       at = at->parent == TreeChain::kNone ? nullptr : &nodes_[at->parent]) {
    path.push_back(ToText(IdOf(*at)));
  }
  shown["path"] = json::array(path.rbegin(), path.rend());
  return shown;
}

std::optional<TreeNodeId> ShownTree::EndOf(std::string_view name) const {
  const Node* node = Find(name);
  if (node == nullptr) return std::nullopt;
  return ChainOf(*node).nodes[node->first_block + node->blocks - 1];
}

}  // namespace reprise
