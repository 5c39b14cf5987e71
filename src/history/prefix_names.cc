#include "history/prefix_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "base/common_tokens.h"
#include "base/limits.h"

namespace reprise {
namespace {

using LabelKind = PrefixLabel::Kind;
using Tokens = std::span<const TokenId>;

// A user's message of so many bytes is read, not said.
constexpr size_t kDocumentBytes = 2000;

// The label of each token of a prompt.
std::vector<PrefixLabel> LabelTokens(const PastPrompt& prompt, const Tokenizer& tokenizer) {
  std::vector<PrefixLabel> of_parts;
  uint32_t turn = 0;
  for (const PartSpan& span : prompt.part_spans) {
    PrefixLabel label = {.kind = LabelKind::kPart, .part = span.name};
    if (span.name.kind == PartName::Kind::kMessage) {
      label.role = span.role;
      if (label.role == PartRole::kUser) ++turn;
      label.turn = turn;
      label.document =
          label.role == PartRole::kUser && span.text_end - span.text_begin >= kDocumentBytes;
    }
    of_parts.push_back(label);
  }
  const PrefixLabel behind = {.kind = of_parts.empty() ? LabelKind::kPart : LabelKind::kReply};
  std::vector<PrefixLabel> labels;
  labels.reserve(prompt.tokens.size());
  size_t part = 0;
  size_t begin = 0;  // of the token, in bytes of the prompt
  for (const TokenId token : prompt.tokens) {
    while (part < of_parts.size() && begin >= prompt.part_spans[part].text_end) ++part;
    labels.push_back(part < of_parts.size() ? of_parts[part] : behind);
    begin += tokenizer.Piece(token).size();
  }
  return labels;
}

// The label that most of them are; of equally many the first.
PrefixLabel MostOf(std::span<const PrefixLabel> labels) {
  PrefixLabel most;
  std::ptrdiff_t count = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i > 0 && labels[i] == labels[i - 1]) continue;
    const std::ptrdiff_t found = std::ranges::count(labels, labels[i]);
    if (found <= count) continue;
    most = labels[i];
    count = found;
  }
  return most;
}

class Labeller {
 public:
  Labeller(const TreeView& tree, const Tokenizer& tokenizer)
      : tree_(tree), tokenizer_(tokenizer), below_(tree.chains.size()) {
    for (size_t i = 0; i < tree.scopes.size(); ++i) {
      scopes_[{tree.scopes[i].tenant, tree.scopes[i].cache_key}] = i;
    }
    of_scope_.resize(tree.scopes.size());
    for (size_t i = 0; i < tree.chains.size(); ++i) {
      const TreeChain& chain = tree.chains[i];
      (chain.parent == TreeChain::kNone ? of_scope_[chain.scope] : below_[chain.parent])
          .push_back(i);
      blocks_.emplace_back(chain.nodes.size());
    }
  }

  void Walk(const PastRequest& request) {
    const auto scope = scopes_.find({request.tenant, request.cache_key});
    if (scope == scopes_.end()) return;
    for (const PastPrompt& prompt : request.prompts) Walk(prompt, scope->second);
  }

  std::vector<std::vector<PrefixLabel>> Finish() {
    std::vector<std::vector<PrefixLabel>> labels;
    std::vector<bool> replies;  // by chain: what goes on behind it is a reply
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const size_t parent = tree_.chains[i].parent;
      bool reply = parent != TreeChain::kNone && replies[parent];
      labels.emplace_back();
      for (Block& block : blocks_[i]) {
        if (block.label.kind == LabelKind::kUnknown && reply) block.label.kind = LabelKind::kReply;
        reply = block.ends_prompt || block.label.kind == LabelKind::kReply;
        labels.back().push_back(block.label);
      }
      replies.push_back(reply);
    }
    return labels;
  }

 private:
  struct Block {
    PrefixLabel label;
    bool ends_prompt = false;
  };
  struct Place {
    Block* block;
    size_t begin, end;  // tokens of the prompt
  };

  // The one that shares most with the beginning of `rest`: they ascend, so a neighbour of where it
  // would stand.
  size_t Nearest(const std::vector<size_t>& chains, Tokens rest) const {
    const auto above = std::ranges::lower_bound(
        chains, rest, [](Tokens a, Tokens b) { return std::ranges::lexicographical_compare(a, b); },
        [this](size_t i) { return Tokens(tree_.chains[i].tokens); });
    size_t nearest = TreeChain::kNone;
    size_t most = 0;
    for (auto at = above == chains.begin() ? above : above - 1; at != chains.end() && at <= above;
         ++at) {
      const size_t common = CommonTokens(Tokens(tree_.chains[*at].tokens), rest);
      if (common <= most) continue;
      nearest = *at;
      most = common;
    }
    return nearest;
  }

  // A prompt that ends with `rest` inside a block ends in each that begins so: replies part there.
  void AddBrothers(const std::vector<size_t>& chains, size_t found, Tokens rest, size_t begin,
                   std::vector<Place>& path) {
    for (const size_t i : chains) {
      const Tokens held = tree_.chains[i].tokens;
      if (i == found || CommonTokens(held, rest) < rest.size()) continue;
      path.push_back({blocks_[i].data(), begin, begin + std::min(tree_.block_tokens, held.size())});
    }
  }

  void Walk(const PastPrompt& prompt, size_t scope) {
    const Tokens tokens = prompt.tokens;
    std::vector<Place> path;  // blocks that the prompt goes through, or ends in
    size_t done = 0;
    bool unnamed = false;
    for (const std::vector<size_t>* next = &of_scope_[scope]; done < tokens.size();) {
      const size_t found = Nearest(*next, tokens.subspan(done));
      if (found == TreeChain::kNone) break;
      const TreeChain& chain = tree_.chains[found];
      const size_t common = CommonTokens(Tokens(chain.tokens), tokens.subspan(done));
      for (size_t i = 0; i < chain.nodes.size(); ++i) {
        const size_t begin = i * tree_.block_tokens;
        const size_t end = std::min(begin + tree_.block_tokens, chain.tokens.size());
        if (common <= begin || (common < end && done + common < tokens.size())) break;
        path.push_back({&blocks_[found][i], chain.begin + begin, chain.begin + end});
      }
      if (done + common == tokens.size() && common < tree_.block_tokens) {
        AddBrothers(*next, found, tokens.subspan(done), chain.begin, path);
      }
      done += common;
      if (common < chain.tokens.size()) break;
      next = &below_[found];
    }
    size_t end = tokens.size();
    for (const Place& place : path) {
      if (place.end >= tokens.size()) place.block->ends_prompt = true;
      unnamed |= place.block->label.kind == LabelKind::kUnknown;
      end = std::max(end, place.end);
    }
    if (!unnamed || decoded_ + tokens.size() > limits::kMaxNamedTokens) return;
    decoded_ += tokens.size();
    std::vector<PrefixLabel> labels = LabelTokens(prompt, tokenizer_);
    labels.resize(end, {.kind = LabelKind::kReply});
    for (const Place& place : path) {
      if (place.block->label.kind != LabelKind::kUnknown) continue;
      place.block->label = MostOf(std::span(labels).subspan(place.begin, place.end - place.begin));
    }
  }

  const TreeView& tree_;
  const Tokenizer& tokenizer_;
  std::map<std::pair<std::string, std::string>, size_t> scopes_;
  std::vector<std::vector<size_t>> of_scope_, below_;  // chains; ascending by tokens
  std::vector<std::vector<Block>> blocks_;             // [chains][blocks]
  size_t decoded_ = 0;
};

}  // namespace

std::string ToText(const PrefixLabel& label) {
  if (label.kind == LabelKind::kUnknown) return "unknown";
  return label.kind == LabelKind::kReply ? "reply" : ToText(label.part);
}

std::string NameOf(const PrefixLabel& label) {
  if (label.kind != LabelKind::kPart) return ToText(label);
  switch (label.part.kind) {
    case PartName::Kind::kTool:
      return "tools";
    case PartName::Kind::kSystem:
      return "system text";
    case PartName::Kind::kPrompt:
    case PartName::Kind::kEnd:
      return "prompt";
    case PartName::Kind::kMessage:
      break;
  }
  switch (label.role) {
    case PartRole::kSystem:
      return "system text";
    case PartRole::kUser:
      return fmt::format("turn {}, {}", label.turn, label.document ? "document" : "user");
    case PartRole::kAssistant:
      return fmt::format("turn {}, reply", label.turn);
    case PartRole::kTool:
      return fmt::format("turn {}, tool result", label.turn);
    case PartRole::kNone:
      break;
  }
  return fmt::format("message {}", label.part.index + 1);
}

std::vector<std::vector<PrefixLabel>> LabelPrefixes(const TreeView& tree, const History& history,
                                                    const Tokenizer& tokenizer) {
  Labeller labeller(tree, tokenizer);
  history.ForEach([&](const PastRequest& request) { labeller.Walk(request); });
  return labeller.Finish();
}

}  // namespace reprise
