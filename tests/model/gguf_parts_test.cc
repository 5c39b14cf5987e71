// Several files of one model read as one, and files that are not those of one model.

#include "model/gguf_parts.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "fixtures/test_folder.h"
#include "gguf_writer.h"
#include "model/gguf.h"
#include "model/kv_identity.h"

namespace reprise {
namespace {

constexpr uint32_t kF32 = 0;

// Three files; the tensor `t<i>` of file i holds four floats of its own.
class GgufParts : public testing::Test {
 protected:
  GgufParts() {
    for (uint32_t i = 0; i < 3; ++i) {
      GgufWriter& writer = writers_[i];
      if (i == 0) {
        writer.String("general.architecture", "llama");
        writer.Uint32("llama.block_count", 7);
      }
      writer.Uint32("split.no", i);
      writer.Uint32("split.count", 3);
      writer.Uint32("split.tensors.count", 3);
      writer.Add({.name = "t" + std::to_string(i),
                  .dimensions = {4},
                  .type = kF32,
                  .data = std::vector<std::byte>(16, static_cast<std::byte>(i)),
                  .offset = {}});
    }
  }

  std::string Path(int number) const {
    return folder_.path() + "/m-0000" + std::to_string(number) + "-of-00003.gguf";
  }
  void WriteAll() const {
    for (size_t i = 0; i < 3; ++i) {
      const std::vector<std::byte> bytes = writers_[i].Finish();
      std::ofstream(Path(static_cast<int>(i) + 1), std::ios::binary)
          .write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    }
  }
  Result<GgufFile> Open(int number = 1) const { return GgufFile::Open(Path(number)); }
  void ExpectError(ErrorCode code, std::string_view part) const {
    WriteAll();
    const Result<GgufFile> file = Open();
    ASSERT_FALSE(file.has_value()) << "expected: " << part;
    EXPECT_EQ(file.error().code, code) << file.error().message;
    EXPECT_NE(file.error().message.find(part), std::string::npos) << file.error().message;
  }

  TestFolder folder_;
  std::array<GgufWriter, 3> writers_;
};

TEST_F(GgufParts, AnyPartNamesAllOfThem) {
  WriteAll();
  for (int number : {1, 2, 3}) {
    const Result<GgufFile> file = Open(number);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->Integer("llama.block_count").value(), 7);
    ASSERT_EQ(file->tensors().size(), 3u);
    for (int i = 0; i < 3; ++i) {
      const GgufTensor* tensor = file->FindTensor("t" + std::to_string(i));
      ASSERT_NE(tensor, nullptr);
      EXPECT_EQ(std::vector(tensor->data.begin(), tensor->data.end()),
                std::vector<std::byte>(16, static_cast<std::byte>(i)));
    }
    ASSERT_EQ(file->parts().size(), 3u);
    EXPECT_EQ(file->parts()[2].path, Path(3));
    size_t bytes = 0;
    for (const GgufWriter& writer : writers_) bytes += writer.Finish().size();
    EXPECT_EQ(file->file_bytes(), bytes);
    file->DropPages();  // of all of them
    EXPECT_EQ(file->FindTensor("t2")->data.front(), std::byte{2});
  }
}

TEST_F(GgufParts, AMissingPartIsNamed) {
  WriteAll();
  std::remove(Path(2).c_str());
  const Result<GgufFile> file = Open();
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_NE(file.error().message.find(Path(2) + " is not there"), std::string::npos)
      << file.error().message;
}

TEST_F(GgufParts, APartWithAnotherNameIsToldWhichNameItNeeds) {
  WriteAll();
  const std::string renamed = folder_.path() + "/model.gguf";
  std::rename(Path(1).c_str(), renamed.c_str());
  const Result<GgufFile> file = GgufFile::Open(renamed);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("end with -00001-of-00003.gguf"), std::string::npos)
      << file.error().message;
}

TEST_F(GgufParts, RefusesAPartInAnothersPlace) {
  std::swap(writers_[1], writers_[2]);
  ExpectError(ErrorCode::kCorrupt, "'split.no' is 2 instead of 1");
}

TEST_F(GgufParts, RefusesAPartOfAModelThatIsCutInAnotherWay) {
  writers_[1].RemoveKey("split.count");
  writers_[1].Uint32("split.count", 4);
  ExpectError(ErrorCode::kCorrupt, "m-00002-of-00003.gguf belongs to another model");
}

TEST_F(GgufParts, RefusesAPartOfAModelWithAnotherNumberOfTensors) {
  writers_[2].RemoveKey("split.tensors.count");
  writers_[2].Uint32("split.tensors.count", 9);
  ExpectError(ErrorCode::kCorrupt, "'split.tensors.count' is 9 instead of 3");
}

TEST_F(GgufParts, RefusesAWholeModelInAPartsPlace) {
  writers_[1].RemoveKey("split.count");
  ExpectError(ErrorCode::kCorrupt, "'split.count' is absent instead of 3");
}

TEST_F(GgufParts, RefusesAPartOfAnotherArchitecture) {
  writers_[1].String("general.architecture", "qwen2");
  ExpectError(ErrorCode::kCorrupt, "'general.architecture' differ");
}

TEST_F(GgufParts, RefusesATensorInTwoParts) {
  GgufWriter::Tensor tensor = writers_[2].RemoveTensor("t2");
  tensor.name = "t1";
  writers_[2].Add(std::move(tensor));
  ExpectError(ErrorCode::kCorrupt, "'t1' of");
}

TEST_F(GgufParts, RefusesATensorTooFew) {
  writers_[1].RemoveTensor("t1");
  ExpectError(ErrorCode::kCorrupt, "hold 2 tensors instead of 3");
}

TEST_F(GgufParts, RefusesCountsBeyondAllMeasure) {
  writers_[0].RemoveKey("split.count");
  writers_[0].Uint64("split.count", uint64_t{1} << 40);
  ExpectError(ErrorCode::kTooLarge, "at most 1024");
}

TEST(ContentOf, ASingleFileIsItselfAndEveryOneOfSeveralCounts) {
  const auto hash = [](uint64_t of) { return Sha256Hasher().Add(of).Finish(); };
  const std::array three = {hash(1), hash(2), hash(3)};
  EXPECT_EQ(ContentOf(std::span(three).first(1)), three[0]);
  for (size_t changed = 0; changed < 3; ++changed) {
    std::array other = three;
    other[changed] = hash(4);
    EXPECT_NE(ContentOf(other), ContentOf(three)) << changed;
  }
  const std::array swapped = {three[1], three[0], three[2]};
  EXPECT_NE(ContentOf(swapped), ContentOf(three));
  EXPECT_NE(ContentOf(std::span(three).first(2)), ContentOf(three));
}

}  // namespace
}  // namespace reprise
