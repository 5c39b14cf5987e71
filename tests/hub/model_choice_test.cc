#include "hub/model_choice.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace reprise {
namespace {

Result<ModelChoice> Choose(const std::vector<std::string>& paths, const std::string& selector) {
  std::vector<RepoFile> files;
  for (const std::string& path : paths) {
    files.push_back({.path = path, .bytes = 1'500'000'000, .sha256 = {}});
  }
  return ChooseModel(files, {.repo = "org/model", .revision = "main", .selector = selector});
}

// The paths that are chosen, or the error.
std::string Chosen(const std::vector<std::string>& paths, const std::string& selector = "") {
  const Result<ModelChoice> choice = Choose(paths, selector);
  if (!choice) return choice.error().message;
  std::string text;
  for (const RepoFile& part : choice->parts) text += part.path + " ";
  return text;
}

TEST(ModelChoiceTest, PrefersTypesInTheirOrder) {
  EXPECT_EQ(Chosen({"m-Q8_0.gguf", "m-Q4_0.gguf", "m-q4_k_m.gguf"}), "m-q4_k_m.gguf ");
  EXPECT_EQ(Chosen({"m-Q8_0.gguf", "m-Q4_0.gguf", "m-F16.gguf"}), "m-Q4_0.gguf ");
  EXPECT_EQ(Chosen({"m-Q8_0.gguf", "m-F16.gguf"}), "m-Q8_0.gguf ");
  EXPECT_EQ(Chosen({"m-IQ1_S.gguf", "README.md"}), "m-IQ1_S.gguf ");
  EXPECT_EQ(Chosen({"m-IQ4_0.gguf", "m-Q4_0_4_4.gguf", "m-Q8_0.gguf"}), "m-Q8_0.gguf ");
}

TEST(ModelChoiceTest, ASelectorIsAPathAFileOrAPartOfAName) {
  const std::vector<std::string> paths = {"BF16/m.gguf", "m-Q4_K.gguf", "m-Q4_K_M.gguf",
                                          "m-Q4_K_S.gguf", "Other.gguf"};
  EXPECT_EQ(Chosen(paths, "BF16/m.gguf"), "BF16/m.gguf ");
  EXPECT_EQ(Chosen(paths, "m.gguf"), "BF16/m.gguf ");
  EXPECT_EQ(Chosen(paths, "bf16"), "BF16/m.gguf ");
  EXPECT_EQ(Chosen(paths, "q4_k_m"), "m-Q4_K_M.gguf ");
  EXPECT_EQ(Chosen(paths, "q4_K"), "m-Q4_K.gguf ") << "the whole word";
  EXPECT_EQ(Chosen(paths, "the"), "Other.gguf ") << "inside a word, where no whole one fits";
}

TEST(ModelChoiceTest, SeveralAreAnErrorThatListsThem) {
  const Result<ModelChoice> choice = Choose({"a-F16.gguf", "b-F32.gguf", "mmproj-F16.gguf"}, "");
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(choice.error().message.find("a-F16.gguf (1.5 GB), b-F32.gguf (1.5 GB)"),
            std::string::npos)
      << choice.error().message;
  EXPECT_EQ(choice.error().message.find("mmproj"), std::string::npos);
}

TEST(ModelChoiceTest, FilesThatBelongToModelsDoNotCount) {
  EXPECT_EQ(Chosen({"MMPROJ-m.gguf", "m.imatrix.gguf", "mmproj/m-F16.gguf"}), "mmproj/m-F16.gguf ");
  EXPECT_NE(Chosen({"m-Q8_0.gguf"}, "imatrix").find("statistics"), std::string::npos);
}

TEST(ModelChoiceTest, ASplitFileIsOneWithAllItsParts) {
  const std::vector<std::string> paths = {
      "m-Q8_0-00002-of-00003.gguf", "m-Q8_0-00003-of-00003.gguf", "m-Q8_0-00001-of-00003.gguf",
      "m-F16-00001-of-00002.gguf"};
  const std::string all =
      "m-Q8_0-00001-of-00003.gguf m-Q8_0-00002-of-00003.gguf m-Q8_0-00003-of-00003.gguf ";
  EXPECT_EQ(Chosen(paths), all);
  EXPECT_EQ(Chosen(paths, "m-Q8_0-00002-of-00003.gguf"), all) << "any part names the model";
  EXPECT_NE(Chosen(paths, "F16").find("part 2 of 2 of m-F16-00001-of-00002.gguf is missing"),
            std::string::npos);
  EXPECT_NE(Chosen({"m-00002-of-00003.gguf"}).find("part 1 of 3"), std::string::npos);
  EXPECT_EQ(Chosen({"m-00001-of-00003x.gguf"}), "m-00001-of-00003x.gguf ");
}

TEST(ModelChoiceTest, IsCertainWhereMoreFilesCouldOnlyMakeItAmbiguous) {
  EXPECT_TRUE(Choose({"m-Q4_K_M.gguf"}, "")->certain);
  EXPECT_TRUE(Choose({"m-Q8_0.gguf"}, "q8_0")->certain);
  EXPECT_FALSE(Choose({"m-Q8_0.gguf"}, "")->certain);
}

TEST(SizeText, IsShort) {
  EXPECT_EQ(SizeText(0), "0 bytes");
  EXPECT_EQ(SizeText(999), "999 bytes");
  EXPECT_EQ(SizeText(12'400), "12 kB");
  EXPECT_EQ(SizeText(950'000'000), "950 MB");
  EXPECT_EQ(SizeText(4'080'000'000), "4.1 GB");
  EXPECT_EQ(SizeText(123'400'000'000), "123 GB");
}

}  // namespace
}  // namespace reprise
