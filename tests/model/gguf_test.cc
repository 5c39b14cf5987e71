// What the GGUF reader makes of honest files, and of files that are cut off or lie.

#include "model/gguf.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "fixtures/test_folder.h"
#include "gguf_writer.h"
#include "kernels/operations.h"

namespace reprise {
namespace {

constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ8_0 = 8;
constexpr uint32_t kUnknownType = 99;

std::vector<std::byte> Bytes(size_t count, uint8_t first = 0) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(first + i);
  return bytes;
}

// Every kind of value, and two tensors.
GgufWriter SmallFile() {
  GgufWriter writer;
  writer.String("general.architecture", "llama");
  writer.Uint32("a.uint32", 7);
  writer.Uint64("a.uint64", uint64_t{1} << 62);
  writer.Raw("a.int8", 1, {std::byte{0xFB}});
  writer.Float32("a.float", 0.5F);
  writer.Bool("a.bool", true);
  writer.Strings("a.strings", {"x", "", "yz"});
  writer.Int32s("a.integers", {-1, 2});
  writer.Add(
      {.name = "first", .dimensions = {3, 2}, .type = kF32, .data = Bytes(24), .offset = {}});
  writer.Add(
      {.name = "second", .dimensions = {32}, .type = kQ8_0, .data = Bytes(34, 100), .offset = {}});
  return writer;
}

// The error of a file that must not be read.
Error ErrorOf(const std::vector<std::byte>& bytes) {
  Result<GgufFile> file = GgufFile::Parse(bytes);
  EXPECT_FALSE(file.has_value());
  return file ? Error{} : file.error();
}

void ExpectError(const GgufWriter& writer, ErrorCode code, std::string_view part,
                 uint64_t alignment = 32) {
  const Error error = ErrorOf(writer.Finish(alignment));
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
}

TEST(Gguf, ReadsEveryKindOfValue) {
  const std::vector<std::byte> bytes = SmallFile().Finish();
  const Result<GgufFile> file = GgufFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->String("general.architecture").value(), "llama");
  EXPECT_EQ(file->Integer("a.uint32").value(), 7);
  EXPECT_EQ(file->Integer("a.uint64").value(), int64_t{1} << 62);
  EXPECT_EQ(file->Integer("a.int8").value(), -5);
  EXPECT_EQ(file->Number("a.float").value(), 0.5);
  EXPECT_EQ(file->Number("a.uint32").value(), 7.0);
  EXPECT_EQ(file->Boolean("a.bool").value(), true);
  EXPECT_EQ(std::get<GgufFile::StringArray>(*file->Find("a.strings")),
            (GgufFile::StringArray{"x", "", "yz"}));
  EXPECT_EQ(std::get<std::vector<int64_t>>(*file->Find("a.integers")),
            (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(file->metadata().size(), 8u);
  EXPECT_EQ(file->file_bytes(), bytes.size());
}

TEST(Gguf, AnAbsentKeyIsNoErrorAndAWrongTypeIs) {
  const std::vector<std::byte> bytes = SmallFile().Finish();
  const Result<GgufFile> file = GgufFile::Parse(bytes);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->Find("absent"), nullptr);
  EXPECT_EQ(file->FindTensor("absent"), nullptr);
  EXPECT_EQ(file->Integer("absent").value(), std::nullopt);
  EXPECT_EQ(file->Integer("a.float").error().code, ErrorCode::kCorrupt);
  EXPECT_NE(file->String("a.bool").error().message.find("'a.bool'"), std::string::npos);
}

TEST(Gguf, GivesEachTensorExactlyItsBytes) {
  const std::vector<std::byte> bytes = SmallFile().Finish();
  const Result<GgufFile> file = GgufFile::Parse(bytes);
  ASSERT_TRUE(file);
  const GgufTensor* first = file->FindTensor("first");
  const GgufTensor* second = file->FindTensor("second");
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(first->dimensions, (std::vector<uint64_t>{3, 2}));
  EXPECT_EQ(std::vector(first->data.begin(), first->data.end()), Bytes(24));
  EXPECT_EQ(std::vector(second->data.begin(), second->data.end()), Bytes(34, 100));
  EXPECT_EQ(second->data.data() + second->data.size(), bytes.data() + bytes.size());
}

TEST(Gguf, HonoursTheFilesAlignment) {
  GgufWriter writer = SmallFile();
  writer.Uint32("general.alignment", 256);
  const std::vector<std::byte> bytes = writer.Finish(256);
  const Result<GgufFile> file = GgufFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  const std::span<const std::byte> data = file->FindTensor("second")->data;
  EXPECT_EQ(std::vector(data.begin(), data.end()), Bytes(34, 100));
}

TEST(Gguf, ATensorOfUnknownTypeHasNoBytes) {
  GgufWriter writer;
  writer.Add(
      {.name = "t", .dimensions = {7}, .type = kUnknownType, .data = Bytes(9), .offset = {}});
  const std::vector<std::byte> bytes = writer.Finish();
  const Result<GgufFile> file = GgufFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->FindTensor("t")->data.empty());
}

TEST(Gguf, EveryTruncationIsAnError) {
  const std::vector<std::byte> bytes = SmallFile().Finish();
  for (size_t length = 0; length < bytes.size(); ++length) {
    // A copy of its own, so that a sanitizer sees any read past the end.
    const std::vector<std::byte> prefix(bytes.begin(),
                                        bytes.begin() + static_cast<ptrdiff_t>(length));
    const Result<GgufFile> file = GgufFile::Parse(prefix);
    ASSERT_FALSE(file) << "a prefix of " << length << " bytes";
    EXPECT_FALSE(file.error().message.empty());
  }
}

TEST(Gguf, RandomFlipsOfBytesNeverCrash) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const std::vector<std::byte> honest = SmallFile().Finish();
  int readable = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes = honest;
    const int flips = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < flips; ++i)
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    const Result<GgufFile> file = GgufFile::Parse(bytes);
    if (!file) continue;
    ++readable;
    for (const GgufTensor& tensor : file->tensors()) {
      if (tensor.data.empty()) continue;
      ASSERT_GE(tensor.data.data(), bytes.data());
      ASSERT_LE(tensor.data.data() + tensor.data.size(), bytes.data() + bytes.size());
    }
  }
  EXPECT_GT(readable, 0);  // flips inside values and data leave a readable file
}

TEST(Gguf, RefusesWhatIsNoGgufFileOfVersion3) {
  EXPECT_NE(ErrorOf(Bytes(64)).message.find("not a GGUF file"), std::string::npos);
  GgufWriter old = SmallFile();
  old.version = 2;
  ExpectError(old, ErrorCode::kUnsupported, "version 2");
  GgufWriter big_endian = SmallFile();
  big_endian.version = 0x03000000;
  ExpectError(big_endian, ErrorCode::kUnsupported, "big-endian");
}

TEST(Gguf, RefusesCountsBeyondAllMeasure) {
  for (uint64_t count : {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{1} << 32}) {
    GgufWriter tensors = SmallFile();
    tensors.tensor_count = count;
    ExpectError(tensors, ErrorCode::kTooLarge, "tensors");
    GgufWriter keys = SmallFile();
    keys.key_count = count;
    ExpectError(keys, ErrorCode::kTooLarge, "metadata keys");
  }
  GgufWriter one_more = SmallFile();
  one_more.tensor_count = 3;
  ExpectError(one_more, ErrorCode::kCorrupt, "");
}

TEST(Gguf, RefusesStringsAndArraysLongerThanTheFile) {
  for (uint64_t length : {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{1} << 40, uint64_t{1000}}) {
    std::vector<std::byte> text;
    GgufWriter::Append(text, length);
    GgufWriter string;
    string.Raw("k.text", 8, text);
    EXPECT_NE(ErrorOf(string.Finish()).message.find("'k.text'"), std::string::npos);

    for (uint32_t element : {0u, 5u, 8u, 10u}) {
      std::vector<std::byte> list;
      GgufWriter::Append(list, element);
      GgufWriter::Append(list, length);
      GgufWriter array;
      array.Raw("k.list", 9, list);
      EXPECT_NE(ErrorOf(array.Finish()).message.find("'k.list'"), std::string::npos);
    }
  }
}

TEST(Gguf, RefusesNestedArraysUnknownTypesAndOddBooleans) {
  std::vector<std::byte> nested;
  GgufWriter::Append(nested, uint32_t{9});
  GgufWriter::Append(nested, uint64_t{1});
  GgufWriter array;
  array.Raw("k.nested", 9, nested);
  ExpectError(array, ErrorCode::kUnsupported, "'k.nested'");

  GgufWriter unknown;
  unknown.Raw("k.unknown", 13, Bytes(8));
  ExpectError(unknown, ErrorCode::kCorrupt, "unknown type 13");

  std::vector<std::byte> elements;
  GgufWriter::Append(elements, uint32_t{77});
  GgufWriter::Append(elements, uint64_t{1});
  GgufWriter unknown_elements;
  unknown_elements.Raw("k.list", 9, elements);
  ExpectError(unknown_elements, ErrorCode::kCorrupt, "unknown type 77");

  GgufWriter boolean;
  boolean.Raw("k.bool", 7, {std::byte{2}});
  ExpectError(boolean, ErrorCode::kCorrupt, "'k.bool'");

  GgufWriter integer;
  integer.Uint64("k.large", uint64_t{1} << 63);
  ExpectError(integer, ErrorCode::kCorrupt, "'k.large'");
}

TEST(Gguf, RefusesNamesThatStandTwice) {
  GgufWriter keys = SmallFile();
  keys.Uint32("a.uint32", 8);
  ExpectError(keys, ErrorCode::kCorrupt, "'a.uint32' stands in the file twice");
  GgufWriter tensors = SmallFile();
  tensors.Add({.name = "first", .dimensions = {1}, .type = kF32, .data = Bytes(4), .offset = {}});
  ExpectError(tensors, ErrorCode::kCorrupt, "'first' stands in the file twice");
}

TEST(Gguf, RefusesNamesWithControlCharactersAndDoesNotRepeatThem) {
  GgufWriter key;
  key.Uint32("evil\n\x1b[31m", 1);
  ExpectError(key, ErrorCode::kCorrupt, "'evil??[31m'");
  GgufWriter tensor;
  tensor.Add({.name = "a\x7f", .dimensions = {1}, .type = kF32, .data = Bytes(4), .offset = {}});
  ExpectError(tensor, ErrorCode::kCorrupt, "'a?'");
}

// One tensor of F32 with these dimensions.
GgufWriter OneTensor(std::vector<uint64_t> dimensions, std::optional<uint64_t> offset = {},
                     uint32_t type = kF32) {
  GgufWriter writer;
  writer.Add({.name = "t",
              .dimensions = std::move(dimensions),
              .type = type,
              .data = Bytes(64),
              .offset = offset});
  return writer;
}

TEST(Gguf, RefusesShapesThatMakeNoSense) {
  ExpectError(OneTensor({}), ErrorCode::kCorrupt, "'t' has 0 dimensions");
  ExpectError(OneTensor({1, 1, 1, 1, 1}), ErrorCode::kCorrupt, "'t' has 5 dimensions");
  ExpectError(OneTensor({4, 0}), ErrorCode::kCorrupt, "'t' has a dimension of zero");
  ExpectError(OneTensor({33}, {}, kQ8_0), ErrorCode::kCorrupt, "not a multiple of 32");
  const uint64_t huge = uint64_t{1} << 32;
  ExpectError(OneTensor({huge, huge}), ErrorCode::kCorrupt, "'t' does not fit in 64 bits");
  ExpectError(OneTensor({huge, huge, huge, huge}), ErrorCode::kCorrupt, "64 bits");
  ExpectError(OneTensor({uint64_t{1} << 62}), ErrorCode::kCorrupt, "64 bits");
  ExpectError(OneTensor({uint64_t{1} << 61}), ErrorCode::kCorrupt, "past the end");
}

TEST(Gguf, RefusesDataOutsideTheFile) {
  ExpectError(OneTensor({17}), ErrorCode::kCorrupt, "'t' reaches past the end");
  ExpectError(OneTensor({16}, 32), ErrorCode::kCorrupt, "'t' reaches past the end");
  ExpectError(OneTensor({16}, 96), ErrorCode::kCorrupt, "'t' begins after the end");
  // Adding these to the start of the data would wrap around into the header.
  ExpectError(OneTensor({1}, ~uint64_t{0} - 31), ErrorCode::kCorrupt, "'t' begins after the end");
  ExpectError(OneTensor({1}, uint64_t{1} << 63), ErrorCode::kCorrupt, "'t' begins after the end");
  ExpectError(OneTensor({1}, 8), ErrorCode::kCorrupt, "multiple of 32");
  ExpectError(OneTensor({1}, uint64_t{1} << 63, kUnknownType), ErrorCode::kCorrupt,
              "after the end");
}

TEST(Gguf, RefusesTensorsThatOverlap) {
  GgufWriter writer;
  writer.Add({.name = "a", .dimensions = {16}, .type = kF32, .data = Bytes(64), .offset = {}});
  writer.Add({.name = "b", .dimensions = {8}, .type = kF32, .data = Bytes(32), .offset = 32});
  ExpectError(writer, ErrorCode::kCorrupt, "'a' and 'b' overlap");
}

TEST(Gguf, RefusesAbsurdAlignments) {
  for (uint32_t alignment : {0u, 1u, 4u, 48u, 1u << 21, ~0u}) {
    GgufWriter writer = SmallFile();
    writer.Uint32("general.alignment", alignment);
    ExpectError(writer, ErrorCode::kCorrupt, "'general.alignment'");
  }
  GgufWriter text = SmallFile();
  text.String("general.alignment", "32");
  ExpectError(text, ErrorCode::kCorrupt, "'general.alignment' is not an integer");
}

// A file name in a folder of its own that goes with the test.
class GgufOnDisk : public testing::Test {
 protected:
  std::string path() const { return folder_.path() + "/model.gguf"; }
  void Write(const std::vector<std::byte>& bytes) const {
    std::ofstream file(path(), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  TestFolder folder_;
};

TEST_F(GgufOnDisk, ReadsTheSameFromAMappedFile) {
  const std::vector<std::byte> bytes = SmallFile().Finish();
  Write(bytes);
  Result<GgufFile> opened = GgufFile::Open(path());
  ASSERT_TRUE(opened) << opened.error().message;
  const GgufFile file = std::move(*opened);  // views survive a move
  EXPECT_EQ(file.file_bytes(), bytes.size());
  file.DropPages();  // pages come back from the file
  const std::span<const std::byte> data = file.FindTensor("first")->data;
  EXPECT_EQ(std::vector(data.begin(), data.end()), Bytes(24));
}

TEST_F(GgufOnDisk, SaysWhichFileItCannotRead) {
  EXPECT_EQ(GgufFile::Open(path()).error().code, ErrorCode::kNotFound);
  EXPECT_NE(GgufFile::Open(path()).error().message.find(path()), std::string::npos);
  EXPECT_EQ(GgufFile::Open(folder_.path()).error().code, ErrorCode::kIo);
  Write({});
  EXPECT_EQ(GgufFile::Open(path()).error().code, ErrorCode::kCorrupt);
  Write(Bytes(100));
  EXPECT_NE(GgufFile::Open(path()).error().message.find(path()), std::string::npos);
  std::remove(path().c_str());
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(GgufFile::Open(path()).error().code, ErrorCode::kIo);  // and does not wait for a writer
}

}  // namespace
}  // namespace reprise
