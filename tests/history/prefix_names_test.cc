// What the nodes of the tree are: parts of requests, by the prompts that lead along them.

#include "history/prefix_names.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fixtures/test_model.h"

namespace reprise {
namespace {

constexpr size_t kBlock = 8;

class PrefixNamesTest : public testing::Test {
 protected:
  PrefixNamesTest() {
    tree_.block_tokens = kBlock;
    tree_.scopes.emplace_back();
  }

  struct Said {
    PartName part;
    std::string role, text;
  };

  // A prompt as ChatML writes it, with the beginning of the reply.
  PastPrompt Prompt(const std::vector<Said>& messages) const {
    std::string text;
    PastPrompt prompt;
    for (const Said& said : messages) {
      text += "<|im_start|>" + said.role + "\n";
      const auto begin = static_cast<uint32_t>(text.size());
      text += said.text;
      prompt.part_spans.push_back(
          {said.part, begin, static_cast<uint32_t>(text.size()), RoleNamed(said.role)});
      text += "<|im_end|>\n";
    }
    text += "<|im_start|>assistant\n";
    prompt.tokens = Encode(text);
    return prompt;
  }
  std::vector<TokenId> Encode(const std::string& text) const {
    return model_.tokenizer->Encode(text, EncodeOptions{.parse_special = true});
  }
  void Ask(PastPrompt prompt, const std::string& tenant = "") {
    PastRequest request;
    request.request_id = "req_" + std::to_string(++asked_);
    request.tenant = tenant;
    request.prompts.push_back(std::move(prompt));
    history_.Begin(std::move(request));
  }
  // A chain of these tokens behind `parent`.
  size_t Add(std::vector<TokenId> tokens, size_t parent = TreeChain::kNone) {
    TreeChain chain;
    chain.parent = parent;
    if (parent != TreeChain::kNone)
      chain.begin = tree_.chains[parent].begin + tree_.chains[parent].tokens.size();
    chain.nodes.resize((tokens.size() + kBlock - 1) / kBlock);
    chain.tokens = std::move(tokens);
    tree_.chains.push_back(std::move(chain));
    return tree_.chains.size() - 1;
  }
  // "name name …" of a chain's blocks, each as often as it stands there; runs once.
  std::string Names(size_t chain) const {
    const auto labels = LabelPrefixes(tree_, history_, *model_.tokenizer);
    std::string names;
    std::string last;
    for (const PrefixLabel& label : labels[chain]) {
      if (NameOf(label) == last) continue;
      last = NameOf(label);
      names += (names.empty() ? "" : "|") + last;
    }
    return names;
  }

  const ServedModel model_ = TestModel();
  History history_{100, 1u << 20};
  TreeView tree_;
  int asked_ = 0;
};

const PartName kSystemPart = {PartName::Kind::kSystem, 0};
PartName Message(uint32_t index) { return {PartName::Kind::kMessage, index}; }

const std::string kLong(3000, 'x');
const std::string kShort(60, 'y');

TEST_F(PrefixNamesTest, BlocksAreTheirPartsInThePromptsOrder) {
  const PastPrompt prompt = Prompt({{kSystemPart, "system", kShort},
                                    {Message(0), "user", kLong},
                                    {Message(1), "assistant", kShort},
                                    {Message(2), "tool", kShort},
                                    {Message(3), "user", kShort}});
  Ask(prompt);
  std::vector<TokenId> tokens = prompt.tokens;
  const std::vector<TokenId> reply = Encode(std::string(60, 'z'));
  tokens.insert(tokens.end(), reply.begin(), reply.end());
  Add(tokens);
  EXPECT_EQ(Names(0),
            "system text|turn 1, document|turn 1, reply|turn 1, tool result|turn 2, user|reply");
  const auto labels = LabelPrefixes(tree_, history_, *model_.tokenizer)[0];
  EXPECT_EQ(ToText(labels.front()), "system");
  EXPECT_EQ(ToText(labels[10]), "messages[0]");
  EXPECT_EQ(ToText(labels.back()), "reply");
}

TEST_F(PrefixNamesTest, OfOpenAiTheFirstMessageMayBeTheSystemText) {
  const PastPrompt prompt = Prompt({{Message(0), "system", kShort}, {Message(1), "user", kShort}});
  Ask(prompt);
  Add(prompt.tokens);
  EXPECT_EQ(Names(0).substr(0, 24), "system text|turn 1, user");
}

TEST_F(PrefixNamesTest, BranchesAreWalkedApart) {
  const PastPrompt one =
      Prompt({{kSystemPart, "system", kLong}, {Message(0), "user", std::string(32, 'p')}});
  const PastPrompt two =
      Prompt({{kSystemPart, "system", kLong}, {Message(0), "user", std::string(32, 'q')}});
  Ask(one);
  size_t common = 0;
  while (one.tokens[common] == two.tokens[common]) ++common;
  common -= common % kBlock;
  const auto cut = [&](const PastPrompt& of, bool head) {
    const auto at = of.tokens.begin() + static_cast<std::ptrdiff_t>(common);
    return head ? std::vector(of.tokens.begin(), at) : std::vector(at, of.tokens.end());
  };
  const size_t head = Add(cut(one, true));
  const size_t left = Add(cut(one, false), head);
  const size_t right = Add(cut(two, false), head);
  EXPECT_TRUE(Names(head).starts_with("system text"));
  EXPECT_EQ(Names(left).substr(0, 12), "turn 1, user");
  EXPECT_EQ(Names(right), "unknown") << "nobody asked it, as far as is remembered";
  Ask(two);
  EXPECT_EQ(Names(right).substr(0, 12), "turn 1, user");
}

TEST_F(PrefixNamesTest, WhatGoesOnBehindAPromptIsAReplyOnEveryBranch) {
  const PastPrompt prompt = Prompt({{Message(0), "user", kShort}});
  Ask(prompt);
  std::vector<TokenId> whole = prompt.tokens;
  whole.resize((whole.size() - 1) / kBlock * kBlock);  // the prompt ends in the blocks behind
  const size_t head = Add(whole);
  std::vector<TokenId> rest(prompt.tokens.begin() + static_cast<std::ptrdiff_t>(whole.size()),
                            prompt.tokens.end());
  for (const char letter : {'p', 'q'}) {
    std::vector<TokenId> tail = rest;
    const auto reply = Encode(std::string(40, letter));
    tail.insert(tail.end(), reply.begin(), reply.end());
    Add(tail, head);
  }
  EXPECT_TRUE(Names(head).starts_with("turn 1, user"));
  for (const size_t tail : {1, 2}) {
    EXPECT_TRUE(Names(tail).ends_with("reply")) << Names(tail);
    EXPECT_FALSE(Names(tail).contains("unknown")) << Names(tail);
  }
}

TEST_F(PrefixNamesTest, RepliesThatPartInsideThePromptsLastBlockAreAllNamed) {
  PastPrompt prompt;
  prompt.tokens = Encode(std::string(kBlock + 4, 'z'));
  ASSERT_EQ(prompt.tokens.size(), kBlock + 4) << "a token for each letter";
  Ask(prompt);
  const size_t head = Add({prompt.tokens.begin(), prompt.tokens.begin() + kBlock});
  for (const char* tail : {"zzzzpppppppppppp", "zzzzqqqqqqqqqqqq", "zzzzvvvvvvvvvvvv"}) {
    Add(Encode(tail), head);
  }
  for (const size_t tail : {1, 2, 3}) EXPECT_EQ(Names(tail), "prompt|reply");
}

TEST_F(PrefixNamesTest, ATextCompletionIsAPromptAndAnotherTenantsNamesNothing) {
  PastPrompt prompt;
  prompt.tokens = Encode(kLong);
  Ask(prompt, "b/b");
  Add(prompt.tokens);
  EXPECT_EQ(Names(0), "unknown");
  Ask(prompt);
  EXPECT_EQ(Names(0), "prompt");
}

}  // namespace
}  // namespace reprise
