#include "hub/model_reference.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(ModelReferenceTest, HasRepositoryRevisionAndSelector) {
  const auto plain = ParseModelReference("hf:Org-1/model.v2_GGUF");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->repo, "Org-1/model.v2_GGUF");
  EXPECT_EQ(plain->revision, "main");
  EXPECT_EQ(plain->selector, "");
  const auto whole = ParseModelReference("hf:org/model@refs/pr/1:Q4_K_M/part-00001-of-00002.gguf");
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->repo, "org/model");
  EXPECT_EQ(whole->revision, "refs/pr/1");
  EXPECT_EQ(whole->selector, "Q4_K_M/part-00001-of-00002.gguf");
  for (const char* text : {"hf:o/m", "hf:o/m@v1", "hf:o/m:Q8_0", "hf:o/m@v1:Q8_0"}) {
    EXPECT_EQ(ParseModelReference(text)->Text(), text);
  }
}

TEST(ModelReferenceTest, NothingThatCouldLeaveAFolderOrAHeaderPasses) {
  for (const char* text : {"org/model",
                           "hf:",
                           "hf:model",
                           "hf:/model",
                           "hf:org/",
                           "hf:org/model/more",
                           "hf:../model",
                           "hf:org/..",
                           "hf:org/a..b",
                           "hf:org/a--b",
                           "hf:org/-a",
                           "hf:org/a b",
                           "hf:org/a?b",
                           "hf:org/model:",
                           "hf:org/model:../x",
                           "hf:org/model:/etc/x",
                           "hf:org/model:a//b",
                           "hf:org/model:a\nb",
                           "hf:org/model:a\\b",
                           "hf:org/model@",
                           "hf:org/model@../../x",
                           "hf:org/model@a:.x"}) {
    const auto reference = ParseModelReference(text);
    ASSERT_FALSE(reference) << text;
    EXPECT_EQ(reference.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(reference.error().message.find("hf:ORG/REPO"), std::string::npos);
  }
  EXPECT_FALSE(ParseModelReference("hf:org/" + std::string(100, 'a')));
}

TEST(ModelReferenceTest, OnlyItsSchemeTellsItFromAPath) {
  EXPECT_TRUE(IsModelReference("hf:org/model"));
  EXPECT_FALSE(IsModelReference("models/hf:org.gguf"));
  EXPECT_FALSE(IsModelReference("org/model"));
}

}  // namespace
}  // namespace reprise
