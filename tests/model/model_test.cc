// What Model::Load makes of models that are whole, incomplete, contradictory or not supported.

#include "model/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "gguf_writer.h"
#include "model/gguf.h"
#include "tiny_model.h"

namespace reprise {
namespace {

const Model::Options kPlain = {.isa = Isa::kPlain, .threads = 1, .progress = {}};

// A model together with the bytes of its file.
struct Loaded {
  explicit Loaded(const GgufWriter& writer, const Model::Options& options = kPlain)
      : bytes(writer.Finish()),
        file(GgufFile::Parse(bytes).value()),
        model(Model::Load(file, options)) {}

  std::vector<std::byte> bytes;
  GgufFile file;
  Result<std::unique_ptr<Model>> model;
};

void ExpectError(const GgufWriter& writer, ErrorCode code, std::string_view part) {
  const Loaded loaded(writer);
  ASSERT_FALSE(loaded.model.has_value()) << "expected: " << part;
  EXPECT_EQ(loaded.model.error().code, code) << loaded.model.error().message;
  EXPECT_NE(loaded.model.error().message.find(part), std::string::npos)
      << loaded.model.error().message;
}

GgufWriter WithKey(std::string_view key, uint32_t value) {
  GgufWriter writer = TinyModel{}.MakeWriter();
  writer.RemoveKey(key);
  writer.Uint32(key, value);
  return writer;
}

TEST(Model, ReadsTheConfiguration) {
  const Loaded loaded(TinyModel{}.MakeWriter());
  ASSERT_TRUE(loaded.model) << loaded.model.error().message;
  const ModelConfig& config = (*loaded.model)->config();
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.name, "Tiny");
  EXPECT_EQ(config.layers, 3);
  EXPECT_EQ(config.hidden, 64);
  EXPECT_EQ(config.layer[2].feed_forward, 96);
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.vocabulary, TinyModel::kVocabulary);
  EXPECT_EQ(config.context, 2048);
  EXPECT_FLOAT_EQ(config.norm_epsilon, 1e-5F);
  EXPECT_EQ(config.ropes[0].pairing, RopePairing::kAdjacent);
  ASSERT_EQ(config.ropes[0].inverse_frequencies.size(), 16u);
  EXPECT_FLOAT_EQ(config.ropes[0].inverse_frequencies[3], std::pow(10'000.0F, -6.0F / 32));
  const KvLayout& layout = (*loaded.model)->kv_layout();
  EXPECT_EQ(layout.layers, 3);
  EXPECT_EQ(layout.block_tokens, 32);
  EXPECT_GT((*loaded.model)->weight_bytes(), 0u);
}

TEST(Model, TakesWhatTheFileDoesNotSayFromTheRest) {
  GgufWriter writer = TinyModel{.hidden = 128}.MakeWriter();  // 4 heads of 32
  for (const char* key :
       {"llama.attention.key_length", "llama.attention.value_length", "llama.rope.dimension_count",
        "llama.rope.freq_base", "llama.vocab_size", "general.name"}) {
    writer.RemoveKey(key);
  }
  const Loaded loaded(writer);
  ASSERT_TRUE(loaded.model) << loaded.model.error().message;
  EXPECT_EQ((*loaded.model)->config().head_dim, 32);
  EXPECT_EQ((*loaded.model)->config().ropes[0].inverse_frequencies.size(), 16u);
  EXPECT_EQ((*loaded.model)->config().name, "llama");
}

TEST(Model, ScalesRotaryFrequenciesAsTheFileSays) {
  GgufWriter writer = TinyModel{.rope_factors = true}.MakeWriter();
  writer.String("llama.rope.scaling.type", "linear");
  writer.Float32("llama.rope.scaling.factor", 4.0F);
  const Loaded loaded(writer);
  ASSERT_TRUE(loaded.model) << loaded.model.error().message;
  float factors[16];
  Dequantize(WeightType::kF32, loaded.file.FindTensor("rope_freqs.weight")->data.data(), 16,
             factors);
  for (size_t i = 0; i < 16; ++i) {
    const double expected = std::pow(10'000.0, -static_cast<double>(i) / 16) / 4 / factors[i];
    EXPECT_FLOAT_EQ((*loaded.model)->config().ropes[0].inverse_frequencies[i],
                    static_cast<float>(expected));
  }
}

TEST(Model, LoadsEveryTypeOfWeight) {
  for (WeightType type :
       {WeightType::kF32, WeightType::kF16, WeightType::kBf16, WeightType::kQ4_0, WeightType::kQ4_1,
        WeightType::kQ5_0, WeightType::kQ5_1, WeightType::kQ8_0, WeightType::kQ4_K,
        WeightType::kQ5_K, WeightType::kQ6_K}) {
    const TinyModel tiny = {.layers = 1,
                            .hidden = 256,
                            .feed_forward = 256,
                            .head_dim = 64,
                            .type = type,
                            .embedding_type = type,
                            .tied = false,
                            .biases = true};
    for (Compute compute : {Compute::kFast, Compute::kExact}) {
      Model::Options options = kPlain;
      options.compute = compute;
      const Loaded loaded(tiny.MakeWriter(), options);
      EXPECT_TRUE(loaded.model) << WeightTypeName(type) << ": " << loaded.model.error().message;
    }
  }
}

TEST(Model, TellsItsProgressUpToTheEnd) {
  std::vector<double> told;
  Model::Options options = kPlain;
  options.progress = [&](double fraction) { told.push_back(fraction); };
  const Loaded loaded(TinyModel{.tied = false, .rope_factors = true}.MakeWriter(), options);
  ASSERT_TRUE(loaded.model);
  ASSERT_GT(told.size(), 20u);
  for (size_t i = 1; i < told.size(); ++i) EXPECT_GE(told[i], told[i - 1]);
  EXPECT_GT(told.back(), 0.99);
  EXPECT_LE(told.back(), 1.0);
}

TEST(Model, NamesTheKeyThatIsMissing) {
  for (const char* key : {"general.architecture", "llama.block_count", "llama.context_length",
                          "llama.embedding_length", "llama.feed_forward_length",
                          "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon"}) {
    GgufWriter writer = TinyModel{}.MakeWriter();
    writer.RemoveKey(key);
    ExpectError(writer, ErrorCode::kCorrupt, key);
  }
}

TEST(Model, NamesTheKeyThatIsOutOfRange) {
  for (const char* key : {"llama.block_count", "llama.context_length", "llama.embedding_length",
                          "llama.feed_forward_length", "llama.attention.head_count",
                          "llama.attention.head_count_kv", "llama.attention.key_length"}) {
    for (uint32_t value : {0u, 0x7FFFFFFFu, ~0u}) {
      ExpectError(WithKey(key, value), ErrorCode::kCorrupt, key);
    }
  }
  ExpectError(WithKey("llama.rope.dimension_count", 33), ErrorCode::kCorrupt,
              "llama.rope.dimension_count");
  ExpectError(WithKey("llama.rope.dimension_count", 15), ErrorCode::kCorrupt,
              "llama.rope.dimension_count");
  ExpectError(WithKey("llama.attention.head_count_kv", 3), ErrorCode::kCorrupt, "4 query heads");
  ExpectError(WithKey("llama.attention.value_length", 16), ErrorCode::kCorrupt, "attn_v.weight");
  ExpectError(WithKey("llama.vocab_size", 511), ErrorCode::kCorrupt, "llama.vocab_size");
}

TEST(Model, RefusesNumbersThatAreNone) {
  for (float value : {0.0F, -1.0F, std::nanf(""), HUGE_VALF}) {
    GgufWriter base = TinyModel{}.MakeWriter();
    base.RemoveKey("llama.rope.freq_base");
    base.Float32("llama.rope.freq_base", value);
    ExpectError(base, ErrorCode::kCorrupt, "llama.rope.freq_base");
  }
  GgufWriter text = TinyModel{}.MakeWriter();
  text.RemoveKey("llama.block_count");
  text.String("llama.block_count", "3");
  ExpectError(text, ErrorCode::kCorrupt, "'llama.block_count' is not an integer");
}

TEST(Model, NamesTheTensorThatIsMissing) {
  for (const char* name :
       {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.1.attn_q.weight",
        "blk.1.attn_k.weight", "blk.1.attn_v.weight", "blk.2.attn_output.weight",
        "blk.2.ffn_norm.weight", "blk.2.ffn_gate.weight", "blk.2.ffn_up.weight",
        "blk.2.ffn_down.weight"}) {
    GgufWriter writer = TinyModel{}.MakeWriter();
    writer.RemoveTensor(name);
    ExpectError(writer, ErrorCode::kCorrupt, name);
  }
}

TEST(Model, NamesTheTensorOfAnotherShape) {
  for (const char* name :
       {"output_norm.weight", "blk.0.attn_norm.weight", "blk.1.attn_q.weight",
        "blk.1.attn_k.weight", "blk.2.attn_output.weight", "blk.2.ffn_gate.weight",
        "blk.2.ffn_down.weight", "output.weight", "blk.1.attn_q.bias", "rope_freqs.weight"}) {
    GgufWriter writer = TinyModel{.tied = false, .biases = true, .rope_factors = true}.MakeWriter();
    GgufWriter::Tensor tensor = writer.RemoveTensor(name);
    tensor.dimensions.back() -= 1;
    const size_t rows = tensor.dimensions.back() + 1;
    tensor.data.resize(tensor.data.size() / rows * (rows - 1));
    writer.Add(std::move(tensor));
    ExpectError(writer, ErrorCode::kCorrupt, name);
  }
}

TEST(Model, RefusesATokenizerLargerThanTheEmbedding) {
  GgufWriter writer = TinyModel{}.MakeWriter();
  writer.RemoveKey("tokenizer.ggml.tokens");
  writer.Strings("tokenizer.ggml.tokens", std::vector<std::string>(513, "a"));
  ExpectError(writer, ErrorCode::kCorrupt, "513 tokens");
}

TEST(Model, SaysWhatFilesAreThatBelongToModels) {
  for (const auto& [key, value, part] :
       {std::tuple{"general.type", "mmproj", "sees or hears (mmproj)"},
        std::tuple{"general.architecture", "clip", "sees or hears (mmproj)"},
        std::tuple{"general.type", "adapter", "an adapter (LoRA)"},
        std::tuple{"general.type", "imatrix", "an importance matrix"}}) {
    GgufWriter writer;
    if (std::string_view(key) != "general.architecture") {
      writer.String("general.architecture", "llama");
    }
    writer.String(key, value);
    ExpectError(writer, ErrorCode::kUnsupported, part);
  }
  GgufWriter model = TinyModel{}.MakeWriter();
  model.String("general.type", "model");
  EXPECT_TRUE(Loaded(model).model.has_value());
}

TEST(Model, SaysWhatItDoesNotSupport) {
  GgufWriter other = TinyModel{}.MakeWriter();
  other.RemoveKey("general.architecture");
  other.String("general.architecture", "gpt-j");
  ExpectError(other, ErrorCode::kUnsupported, "'gpt-j' are not supported, only: qwen2, ");

  GgufWriter scaling = TinyModel{}.MakeWriter();
  scaling.String("llama.rope.scaling.type", "longrope");
  ExpectError(scaling, ErrorCode::kUnsupported, "'longrope'");

  GgufWriter type = TinyModel{}.MakeWriter();
  GgufWriter::Tensor tensor = type.RemoveTensor("blk.1.attn_k.weight");
  tensor.type = 10;  // Q2_K
  type.Add(std::move(tensor));
  ExpectError(type, ErrorCode::kUnsupported, "'blk.1.attn_k.weight'");

  GgufWriter unknown = TinyModel{}.MakeWriter();
  unknown.Add({.name = "blk.0.attn_q_norm.weight",
               .dimensions = {1},
               .type = 0,
               .data = std::vector<std::byte>(4),
               .offset = {}});
  ExpectError(unknown, ErrorCode::kUnsupported, "'blk.0.attn_q_norm.weight'");
}

TEST(Model, RefusesBlocksOfOddLengths) {
  for (int block_tokens : {-32, 0, 1, 24, 512}) {
    Model::Options options = kPlain;
    options.block_tokens = block_tokens;
    const Loaded loaded(TinyModel{}.MakeWriter(), options);
    ASSERT_FALSE(loaded.model.has_value());
    EXPECT_EQ(loaded.model.error().code, ErrorCode::kInvalidArgument);
  }
}

Sha256 IdentityOf(const Model::Options& options, std::string_view content = "content") {
  const Loaded loaded(TinyModel{}.MakeWriter(), options);
  return loaded.model.value()->kv_identity(Sha256Hasher().Add(content).Finish());
}

TEST(Model, IdentitiesDifferWhereKAndVMay) {
  const Sha256 identity = IdentityOf(kPlain);
  EXPECT_EQ(identity, IdentityOf(kPlain));
  EXPECT_NE(identity, IdentityOf(kPlain, "another"));
  Model::Options options = kPlain;
  options.compute = Compute::kExact;
  EXPECT_NE(identity, IdentityOf(options));
  options = kPlain;
  options.block_tokens = 64;
  EXPECT_NE(identity, IdentityOf(options));
  options = kPlain;
  options.threads = 2;
  EXPECT_EQ(identity, IdentityOf(options)) << "which changes no bit";
}

}  // namespace
}  // namespace reprise
