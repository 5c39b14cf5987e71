#include "text/turn_ends.h"

#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

namespace reprise {
namespace {

using Texts = std::vector<std::string>;

struct Family {
  const char* name;
  Texts control;  // as the family's tokenizer has them
  std::string eos;
  std::string eot;  // may be empty
  std::set<std::string> ends;
};

std::ostream& operator<<(std::ostream& out, const Family& family) { return out << family.name; }

std::optional<TokenId> IdOf(const Vocabulary& vocabulary, const std::string& text) {
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    if (vocabulary.tokens[i] == text) return static_cast<TokenId>(i);
  }
  return std::nullopt;
}

Vocabulary VocabularyOf(const Family& family) {
  Vocabulary vocabulary;
  vocabulary.tokens = family.control;
  vocabulary.types.assign(family.control.size(), TokenType::kControl);
  vocabulary.tokens.emplace_back("hello");
  vocabulary.types.push_back(TokenType::kNormal);
  vocabulary.eos = IdOf(vocabulary, family.eos);
  vocabulary.eot = IdOf(vocabulary, family.eot);
  return vocabulary;
}

std::set<std::string> EndsOf(const Vocabulary& vocabulary) {
  std::set<std::string> texts;
  const std::vector<bool> ends = TokensThatEndATurn(vocabulary);
  for (size_t i = 0; i < ends.size(); ++i) {
    if (ends[i]) texts.insert(vocabulary.tokens[i]);
  }
  return texts;
}

class TurnEndsTest : public testing::TestWithParam<Family> {};

TEST_P(TurnEndsTest, AFamilysTurnEndsWhereItsTemplateEndsIt) {
  EXPECT_EQ(EndsOf(VocabularyOf(GetParam())), GetParam().ends);
}

// The eos is what the file names, which for most is not what ends a turn.
INSTANTIATE_TEST_SUITE_P(
    Families, TurnEndsTest,
    testing::Values(
        Family{"qwen",
               {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_pad|>", "<|repo_name|>"},
               "<|endoftext|>",
               "",
               {"<|endoftext|>", "<|im_end|>"}},
        Family{"llama3",
               {"<|begin_of_text|>", "<|end_of_text|>", "<|eom_id|>", "<|eot_id|>",
                "<|start_header_id|>", "<|python_tag|>"},
               "<|end_of_text|>",
               "",
               {"<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"}},
        Family{"gemma",
               {"<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"},
               "<eos>",
               "",
               {"<eos>", "<end_of_turn>"}},
        Family{"phi3",
               {"<s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"},
               "<|endoftext|>",
               "",
               {"<|endoftext|>", "<|end|>"}},
        Family{"gpt-oss",
               {"<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>",
                "<|start|>", "<|end|>", "<|message|>", "<|call|>"},
               "<|return|>",
               "<|end|>",
               {"<|endoftext|>", "<|return|>", "<|call|>"}},
        Family{"glm4",
               {"<|endoftext|>", "[MASK]", "[gMASK]", "<sop>", "<|system|>", "<|user|>",
                "<|assistant|>", "<|observation|>"},
               "<|endoftext|>",
               "",
               {"<|endoftext|>", "<|user|>", "<|observation|>"}},
        Family{"exaone",
               {"[BOS]", "[|endofturn|]", "[|user|]", "[|assistant|]", "[|system|]"},
               "[|endofturn|]",
               "",
               {"[|endofturn|]"}},
        Family{"cohere",
               {"<BOS_TOKEN>", "<EOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
                "<|USER_TOKEN|>"},
               "<EOS_TOKEN>",
               "",
               {"<EOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"}},
        Family{"granite",
               {"<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"},
               "<|end_of_text|>",
               "",
               {"<|end_of_text|>"}},
        Family{"mistral", {"<unk>", "<s>", "</s>", "[INST]", "[/INST]"}, "</s>", "", {"</s>"}},
        Family{
            "deepseek",
            {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"},
            "<｜end▁of▁sentence｜>",
            "",
            {"<｜end▁of▁sentence｜>"}},
        Family{"kimi",
               {"[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>", "[EOT]", "<|im_middle|>"},
               "[EOS]",
               "",
               {"[EOS]", "[EOT]", "<|im_end|>"}}),
    [](const auto& family) {
      std::string name = family.param.name;
      std::erase(name, '-');
      return name;
    });

TEST(TurnEndsTest, WhatTheFileNamesEndsATurnWhateverItIs) {
  Vocabulary vocabulary;
  vocabulary.tokens = {"a", "b", "c", "d"};
  vocabulary.eos = 0;
  vocabulary.eot = 1;
  vocabulary.eom = 2;
  EXPECT_EQ(TokensThatEndATurn(vocabulary), (std::vector<bool>{true, true, true, false}));
}

TEST(TurnEndsTest, OnlyControlTokensAreKnownByName) {
  Vocabulary vocabulary;
  vocabulary.tokens = {"</s>", "<|im_end|>", "x"};
  vocabulary.types = {TokenType::kUserDefined, TokenType::kNormal, TokenType::kControl};
  EXPECT_EQ(TokensThatEndATurn(vocabulary), (std::vector<bool>{false, false, false}));
}

}  // namespace
}  // namespace reprise
