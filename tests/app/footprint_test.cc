// What a header tells of a model's memory, against what the loaded model takes.

#include "app/footprint.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "model/model.h"
#include "tiny_model.h"

namespace reprise {
namespace {

void ExpectWhatIsLoaded(const TinyModel& tiny) {
  const std::vector<std::byte> bytes = tiny.Make();
  const GgufFile file = GgufFile::Parse(bytes).value();
  const Footprint footprint = FootprintOf(file, 100, 32);
  const Result<std::unique_ptr<Model>> model = Model::Load(
      file, {.isa = Isa::kPlain, .compute = Compute::kFast, .threads = 1, .progress = {}});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(footprint.resident_bytes, (*model)->weight_bytes());
  ASSERT_TRUE(footprint.served) << footprint.obstacle;
  EXPECT_EQ(footprint.served->kv_bytes_per_token, (*model)->kv_layout().bytes_per_token());
  EXPECT_EQ(footprint.served->kv_bytes, 4 * (*model)->kv_layout().block_bytes()) << "100 tokens";
  EXPECT_EQ(footprint.served->state_bytes, (*model)->state_bytes());
  EXPECT_EQ(footprint.needed_bytes(),
            footprint.resident_bytes + footprint.served->kv_bytes + footprint.served->state_bytes);
}

TEST(FootprintTest, IsWhatEachKindOfModelTakesWhenItIsLoaded) {
  for (const TinyKind kind : kTinyKinds) {
    SCOPED_TRACE(TinyKindName(kind));
    ExpectWhatIsLoaded({.kind = kind});
  }
}

TEST(FootprintTest, IsWhatEachWeightTypeTakesWhenItIsLoaded) {
  for (const WeightType type : {WeightType::kF32, WeightType::kF16, WeightType::kQ4_0,
                                WeightType::kQ8_0, WeightType::kQ4_K, WeightType::kQ6_K}) {
    SCOPED_TRACE(WeightTypeName(type));
    ExpectWhatIsLoaded(
        {.hidden = 256, .feed_forward = 256, .heads = 8, .type = type, .tied = false});
  }
}

// A llama of one layer, hidden 64, 4 heads of 32 on 2 of K and V, vocabulary 512: by hand.
TEST(FootprintTest, CountsParametersTypesAndBytesAsTheFileHasThem) {
  const std::vector<std::byte> bytes = TinyModel{.layers = 1}.Make();
  const GgufFile file = GgufFile::Parse(bytes).value();
  const Footprint footprint = FootprintOf(file, 0, 32);
  const uint64_t embedding = 512 * 64;
  const uint64_t matrices = 64 * 128 * 2 + 64 * 64 * 2 + 64 * 96 * 3;  // q and o, k and v, the rest
  const uint64_t norms = 3 * 64;
  EXPECT_EQ(footprint.parameters, embedding + matrices + norms);
  ASSERT_EQ(footprint.types.size(), 3u);
  EXPECT_EQ(footprint.types[0].type, "Q8_0");
  EXPECT_EQ(footprint.types[0].bytes, embedding / 32 * 34);
  EXPECT_EQ(footprint.types[1].type, "Q4_1");
  EXPECT_EQ(footprint.types[1].tensors, 7u);
  EXPECT_EQ(footprint.types[1].bytes, matrices / 32 * 20);
  EXPECT_EQ(footprint.types[2].bytes, norms * 4);
  EXPECT_EQ(footprint.file_bytes, embedding / 32 * 34 + matrices / 32 * 20 + norms * 4);
  ASSERT_TRUE(footprint.served);
  EXPECT_EQ(footprint.served->architecture, "llama");
  EXPECT_EQ(footprint.served->context, 2048) << "as trained";
  // Of each of 2 heads: K 32 bytes and a scale of 4, V 32 times 2 bytes.
  EXPECT_EQ(footprint.served->kv_bytes_per_token, 2u * (32 + 4 + 64));
}

TEST(FootprintTest, SaysWhyAModelCannotBeServed) {
  GgufWriter writer = TinyModel{}.MakeWriter();
  writer.String("general.type", "adapter");
  const std::vector<std::byte> bytes = writer.Finish();
  const GgufFile file = GgufFile::Parse(bytes).value();
  const Footprint footprint = FootprintOf(file, 0, 32);
  EXPECT_FALSE(footprint.served);
  EXPECT_NE(footprint.obstacle.find("adapter"), std::string::npos);
  EXPECT_GT(footprint.parameters, 0u);
}

}  // namespace
}  // namespace reprise
