#include "tiny_model.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <initializer_list>
#include <random>
#include <utility>

#include "base/check.h"

namespace reprise {
namespace {

constexpr std::string_view kTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ "
    "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\\n' }}{% endif %}";

// f32 to f16, normal numbers rounded towards zero.
uint16_t Half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const int exponent = static_cast<int>((bits >> 23) & 0xFF) - 127 + 15;
  CHECK(exponent < 31, "weights of tiny models are small");
  if (exponent <= 0) {  // subnormal: a multiple of 2^-24
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::fabs(value) * 0x1p24F));
  }
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent) << 10 | (bits >> 13 & 0x3FF));
}

// Random storage blocks whose elements have about the wanted standard deviation and mean 0.
class RandomWeights {
 public:
  explicit RandomWeights(uint64_t seed) : random_(seed) {}

  std::vector<std::byte> Make(WeightType type, size_t elements, float deviation) {
    const WeightBlock block = WeightBlockOf(static_cast<uint32_t>(type)).value();
    CHECK(elements % static_cast<size_t>(block.elements) == 0, "rows are whole blocks");
    std::vector<std::byte> bytes;
    bytes.reserve(elements / static_cast<size_t>(block.elements) *
                  static_cast<size_t>(block.bytes));
    for (size_t i = 0; i < elements; i += static_cast<size_t>(block.elements)) {
      AppendBlock(type, deviation, bytes);
    }
    return bytes;
  }

  float Uniform(float lowest, float highest) {
    return lowest + (highest - lowest) * static_cast<float>(random_() >> 40) / 16777216.0F;
  }

 private:
  // A uniform integer of n values has a deviation of n / sqrt(12).
  static float Scale(float deviation, int values) {
    return deviation * 3.4641F / static_cast<float>(values);
  }
  void Bytes(int count, std::vector<std::byte>& out) {
    for (int i = 0; i < count; ++i) out.push_back(static_cast<std::byte>(random_() & 0xFF));
  }
  // Scales vary from block to block, as they do in real models.
  float Vary(float value) { return value * Uniform(0.7F, 1.3F); }

  // Layouts as in kernels/dequantize.cc.
  void AppendBlock(WeightType type, float deviation, std::vector<std::byte>& out) {
    const auto half = [&](float value) { GgufWriter::Append(out, Half(value)); };
    const float d4 = Vary(Scale(deviation, 16)), d5 = Vary(Scale(deviation, 32));
    switch (type) {
      case WeightType::kF32:
        return GgufWriter::Append(out, Uniform(-1.732F, 1.732F) * deviation);
      case WeightType::kF16: {
        const float value = Uniform(0.1F, 1.732F) * deviation;
        return half(random_() & 1 ? value : -value);
      }
      case WeightType::kBf16:
        return GgufWriter::Append(
            out, static_cast<uint16_t>(
                     std::bit_cast<uint32_t>(Uniform(-1.732F, 1.732F) * deviation) >> 16));
      case WeightType::kQ4_0:
        half(d4);
        return Bytes(16, out);
      case WeightType::kQ4_1:
        half(d4);
        half(-7.5F * d4);
        return Bytes(16, out);
      case WeightType::kQ5_0:
        half(d5);
        return Bytes(20, out);
      case WeightType::kQ5_1:
        half(d5);
        half(-15.5F * d5);
        return Bytes(20, out);
      case WeightType::kQ8_0:
        half(Vary(Scale(deviation, 256)));
        return Bytes(32, out);
      case WeightType::kQ4_K:
      case WeightType::kQ5_K: {
        // Sub-scales and minima are random in 0..63; their products with d and dmin centre about 0
        // when dmin is half the range of the quants times d.
        const bool four = type == WeightType::kQ4_K;
        half((four ? d4 : d5) / 32.0F);
        half((four ? 7.5F * d4 : 15.5F * d5) / 32.0F);
        return Bytes(four ? 12 + 128 : 12 + 32 + 128, out);
      }
      case WeightType::kQ6_K:
        Bytes(128 + 64 + 16, out);
        return half(Vary(Scale(deviation, 64)) / 74.0F);  // sub-scales are random in -128..127
    }
    CHECK(false, "every type of weight has a layout");
  }

  std::mt19937_64 random_;
};

// How byte-level BPE writes a byte: printable Latin-1 as itself, the others from U+0100 on, in
// UTF-8.
std::string ByteToken(int byte, int* next_other) {
  const bool printable =
      (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
  const int code = printable ? byte : 0x100 + (*next_other)++;
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

// Control tokens, the 256 bytes, then pairs of letters as the merges make them.
void AddTokenizer(GgufWriter& writer) {
  std::vector<std::string> tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  std::vector<int32_t> types(tokens.size(), static_cast<int32_t>(3));
  int next_other = 0;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(ByteToken(byte, &next_other));
  std::vector<std::string> merges;
  const std::string_view letters = "etaoinshrdlucmfw";
  for (size_t i = 0; tokens.size() < TinyModel::kVocabulary; ++i) {
    const std::string left(1, letters[i / letters.size()]);
    const std::string right(1, letters[i % letters.size()]);
    tokens.push_back(left + right);
    merges.push_back(left + " " + right);
  }
  types.resize(tokens.size(), 1);
  writer.String("tokenizer.ggml.model", "gpt2");
  writer.String("tokenizer.ggml.pre", "smollm");
  writer.Strings("tokenizer.ggml.tokens", tokens);
  writer.Int32s("tokenizer.ggml.token_type", types);
  writer.Strings("tokenizer.ggml.merges", merges);
  writer.Uint32("tokenizer.ggml.bos_token_id", TinyModel::kTurnStart);
  writer.Uint32("tokenizer.ggml.eos_token_id", TinyModel::kTurnEnd);
  writer.Uint32("tokenizer.ggml.unknown_token_id", TinyModel::kEndOfText);
  writer.Uint32("tokenizer.ggml.padding_token_id", TinyModel::kTurnEnd);
  writer.Bool("tokenizer.ggml.add_bos_token", false);
  writer.Bool("tokenizer.ggml.add_space_prefix", false);
  writer.String("tokenizer.chat_template", kTemplate);
}

}  // namespace

GgufWriter TinyModel::MakeWriter() const {
  GgufWriter writer;
  const auto number = [&](std::string_view key, int value) {
    writer.Uint32(key, static_cast<uint32_t>(value));
  };
  writer.String("general.architecture", "llama");
  writer.String("general.name", "Tiny");
  number("llama.block_count", layers);
  number("llama.context_length", context);
  number("llama.embedding_length", hidden);
  number("llama.feed_forward_length", feed_forward);
  number("llama.attention.head_count", heads);
  number("llama.attention.head_count_kv", kv_heads);
  number("llama.attention.key_length", head_dim);
  number("llama.attention.value_length", head_dim);
  number("llama.rope.dimension_count", head_dim);
  number("llama.vocab_size", kVocabulary);
  writer.Float32("llama.rope.freq_base", 10'000.0F);
  writer.Float32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  AddTokenizer(writer);

  RandomWeights random(seed);
  const auto matrix = [&](const std::string& name, WeightType kind, int rows, int columns,
                          float deviation) {
    writer.Add({.name = name + ".weight",
                .dimensions = {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)},
                .type = static_cast<uint32_t>(kind),
                .data = random.Make(kind, static_cast<size_t>(rows) * static_cast<size_t>(columns),
                                    deviation),
                .offset = {}});
  };
  const auto vector = [&](const std::string& name, int size, float lowest, float highest) {
    std::vector<std::byte> data;
    for (int i = 0; i < size; ++i) GgufWriter::Append(data, random.Uniform(lowest, highest));
    writer.Add({.name = name,
                .dimensions = {static_cast<uint64_t>(size)},
                .type = static_cast<uint32_t>(WeightType::kF32),
                .data = std::move(data),
                .offset = {}});
  };
  const auto linear = [&](const std::string& name, int outputs, int inputs, float gain = 1.0F) {
    matrix(name, type, outputs, inputs, gain / std::sqrt(static_cast<float>(inputs)));
    if (biases) vector(name + ".bias", outputs, -0.2F, 0.2F);
  };
  matrix("token_embd", embedding_type, kVocabulary, hidden, 0.3F);
  for (int i = 0; i < layers; ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    vector(block + "attn_norm.weight", hidden, 0.5F, 1.5F);
    linear(block + "attn_q", heads * head_dim, hidden, 2.0F);  // scores that prefer some keys
    linear(block + "attn_k", kv_heads * head_dim, hidden, 2.0F);
    linear(block + "attn_v", kv_heads * head_dim, hidden);
    linear(block + "attn_output", hidden, heads * head_dim);
    vector(block + "ffn_norm.weight", hidden, 0.5F, 1.5F);
    linear(block + "ffn_gate", feed_forward, hidden);
    linear(block + "ffn_up", feed_forward, hidden);
    linear(block + "ffn_down", hidden, feed_forward);
  }
  vector("output_norm.weight", hidden, 0.5F, 1.5F);
  if (!tied) matrix("output", embedding_type, kVocabulary, hidden, 0.3F);
  if (rope_factors) vector("rope_freqs.weight", head_dim / 2, 1.0F, 8.0F);
  return writer;
}

void TinyModel::Write(const std::string& path) const {
  const std::vector<std::byte> bytes = Make();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  CHECK(file.good(), "a test can write its model");
}

}  // namespace reprise
