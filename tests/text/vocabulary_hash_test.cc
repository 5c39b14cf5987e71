#include "text/vocabulary_hash.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fixtures/test_vocabulary.h"

namespace reprise {
namespace {

TEST(VocabularyHashTest, EqualOnesHaveOneHashAndWhateverDiffersAnother) {
  EXPECT_EQ(VocabularyHash(ByteLevelVocabulary()), VocabularyHash(ByteLevelVocabulary()));
  const std::vector<std::function<void(Vocabulary&)>> changes = {
      [](Vocabulary&) {},
      [](Vocabulary& v) { v.model += "x"; },
      [](Vocabulary& v) { v.pre += "x"; },
      [](Vocabulary& v) { v.tokens.back() += "x"; },
      [](Vocabulary& v) { std::swap(v.tokens[0], v.tokens[1]); },
      [](Vocabulary& v) { v.tokens.pop_back(); },
      [](Vocabulary& v) { v.types.back() = TokenType::kUnused; },
      [](Vocabulary& v) { v.types.clear(); },
      [](Vocabulary& v) { std::swap(v.merges[0], v.merges[1]); },
      [](Vocabulary& v) { v.merges.pop_back(); },
      [](Vocabulary& v) { v.scores.push_back(0); },
      [](Vocabulary& v) { v.scores.push_back(1); },
      [](Vocabulary& v) { v.bos = 7; },
      [](Vocabulary& v) { v.bos = 8; },
      [](Vocabulary& v) { v.eos = 7; },
      [](Vocabulary& v) { v.eot = 7; },
      [](Vocabulary& v) { v.eom = 7; },
      [](Vocabulary& v) { v.unknown = 7; },
      [](Vocabulary& v) { v.padding = 7; },
      [](Vocabulary& v) { v.add_bos = !v.add_bos; },
      [](Vocabulary& v) { v.add_eos = !v.add_eos; },
      [](Vocabulary& v) { v.add_space_prefix = !v.add_space_prefix; },
      [](Vocabulary& v) { v.strip_after_control = !v.strip_after_control; },
  };
  std::set<std::string> hashes;
  for (const auto& change : changes) {
    Vocabulary vocabulary = ByteLevelVocabulary();
    change(vocabulary);
    EXPECT_TRUE(hashes.insert(VocabularyHash(vocabulary)).second) << hashes.size();
  }
}

}  // namespace
}  // namespace reprise
