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

std::string_view ArchitectureOf(TinyKind kind) {
  switch (kind) {
    case TinyKind::kDense:
      return "llama";
    case TinyKind::kWindow:
      return "gemma3";
    case TinyKind::kExperts:
      return "qwen3moe";
    case TinyKind::kLatent:
      return "deepseek2";
    case TinyKind::kRecurrent:
      return "granitehybrid";
  }
  return {};
}

// Writes keys and tensors of a tiny model, layer by layer.
class TinyWriter {
 public:
  explicit TinyWriter(const TinyModel& model)
      : model_(model), architecture_(ArchitectureOf(model.kind)), random_(model.seed) {}

  GgufWriter Make() {
    AddKeys();
    AddTokenizer(writer_);
    Matrix("token_embd", model_.embedding_type, TinyModel::kVocabulary, model_.hidden, 0.3F);
    for (int i = 0; i < model_.layers; ++i) {
      block_ = fmt::format("blk.{}.", i);
      Norm(block_ + "attn_norm");
      AddMixer(i);
      if (model_.kind == TinyKind::kWindow) Norm(block_ + "post_attention_norm");
      Norm(block_ + "ffn_norm");
      const bool has_experts = model_.kind == TinyKind::kExperts ||
                               (model_.kind == TinyKind::kLatent && i >= kLeadingDense);
      has_experts ? AddExperts() : AddFeedForward();
      if (model_.kind == TinyKind::kWindow) Norm(block_ + "post_ffw_norm");
    }
    Norm("output_norm");
    if (!model_.tied) {
      Matrix("output", model_.embedding_type, TinyModel::kVocabulary, model_.hidden, 0.3F);
    }
    if (model_.rope_factors) Vector("rope_freqs.weight", model_.head_dim / 2, 1.0F, 8.0F);
    return std::move(writer_);
  }

 private:
  static constexpr int kExperts = 6, kChosen = 2, kExpertInner = 32, kLeadingDense = 1;
  static constexpr int kStateHeads = 4, kStateHeadDim = 16, kStateGroups = 2, kStateSize = 16,
                       kStateTaps = 4;
  static constexpr int kRank = 32, kQueryRank = 64, kNope = 32, kRope = 16, kValue = 32;

  void AddKeys() {
    const bool is_latent = model_.kind == TinyKind::kLatent;
    writer_.String("general.architecture", architecture_);
    writer_.String("general.name", "Tiny");
    Number("block_count", model_.layers);
    Number("context_length", model_.context);
    Number("embedding_length", model_.hidden);
    Number("feed_forward_length", model_.feed_forward);
    Number("attention.head_count", model_.heads);
    AddKvHeads();
    Number("attention.key_length", is_latent ? kRank + kRope : model_.head_dim);
    Number("attention.value_length", is_latent ? kRank : model_.head_dim);
    Number("rope.dimension_count", is_latent ? kRope : model_.head_dim);
    Number("vocab_size", TinyModel::kVocabulary);
    writer_.Float32(Key("rope.freq_base"), 10'000.0F);
    writer_.Float32(Key("attention.layer_norm_rms_epsilon"), 1e-5F);
    if (model_.kind == TinyKind::kWindow) {
      Number("attention.sliding_window", model_.window);
      Number("attention.sliding_window_pattern", 3);  // the third layer sees all
    }
    if (is_latent) {
      Number("attention.q_lora_rank", kQueryRank);
      Number("attention.kv_lora_rank", kRank);
      Number("attention.key_length_mla", kNope + kRope);
      Number("attention.value_length_mla", kValue);
      Number("leading_dense_block_count", kLeadingDense);
      Number("expert_shared_count", 1);
    }
    if (model_.kind == TinyKind::kRecurrent) {
      Number("ssm.conv_kernel", kStateTaps);
      Number("ssm.state_size", kStateSize);
      Number("ssm.group_count", kStateGroups);
      Number("ssm.time_step_rank", kStateHeads);
      Number("ssm.inner_size", kStateHeads * kStateHeadDim);
    }
    if (is_latent || model_.kind == TinyKind::kExperts) {
      Number("expert_count", kExperts);
      Number("expert_used_count", kChosen);
      Number("expert_feed_forward_length", kExpertInner);
    }
  }

  // One for all layers, or one for each where some have none.
  void AddKvHeads() {
    if (model_.kind != TinyKind::kRecurrent) {
      Number("attention.head_count_kv", model_.kind == TinyKind::kLatent ? 1 : model_.kv_heads);
      return;
    }
    std::vector<int32_t> heads;
    for (int i = 0; i < model_.layers; ++i) heads.push_back(IsRecurrent(i) ? 0 : model_.kv_heads);
    writer_.Int32s(Key("attention.head_count_kv"), heads);
  }

  bool IsRecurrent(int layer) const { return model_.kind == TinyKind::kRecurrent && layer != 1; }

  void AddMixer(int layer) {
    if (IsRecurrent(layer)) return AddMamba2();
    if (model_.kind == TinyKind::kLatent) return AddLatentAttention();
    AddAttention();
  }

  void AddMamba2() {
    constexpr int kConvolved = kStateHeads * kStateHeadDim + 2 * kStateGroups * kStateSize;
    constexpr int kInner = kStateHeads * kStateHeadDim;
    Linear("ssm_in", kInner + kConvolved + kStateHeads, model_.hidden);
    Table("ssm_conv1d.weight", {kStateTaps, kConvolved}, -1.0F, 1.0F);
    Vector(block_ + "ssm_conv1d.bias", kConvolved, -0.2F, 0.2F);
    Vector(block_ + "ssm_dt.bias", kStateHeads, -3.0F, 0.0F);
    Table("ssm_a", {1, kStateHeads}, -4.0F, -0.5F);
    Table("ssm_d", {1, kStateHeads}, 0.5F, 1.5F);
    Table("ssm_norm.weight", {kInner / kStateGroups, kStateGroups}, 0.5F, 1.5F);
    Linear("ssm_out", model_.hidden, kInner);
  }

  void AddAttention() {
    const int head = model_.head_dim;
    Linear("attn_q", model_.heads * head, model_.hidden, 2.0F);  // scores that prefer some keys
    Linear("attn_k", model_.kv_heads * head, model_.hidden, 2.0F);
    Linear("attn_v", model_.kv_heads * head, model_.hidden);
    if (model_.kind == TinyKind::kWindow || model_.kind == TinyKind::kExperts) {
      Vector(block_ + "attn_q_norm.weight", head, 1.0F, 3.0F);
      Vector(block_ + "attn_k_norm.weight", head, 1.0F, 3.0F);
    }
    Linear("attn_output", model_.hidden, model_.heads * head);
  }

  void AddLatentAttention() {
    const int heads = model_.heads;
    Linear("attn_q_a", kQueryRank, model_.hidden);
    Vector(block_ + "attn_q_a_norm.weight", kQueryRank, 0.5F, 1.5F);
    Linear("attn_q_b", heads * (kNope + kRope), kQueryRank, 2.0F);
    Linear("attn_kv_a_mqa", kRank + kRope, model_.hidden, 2.0F);
    Vector(block_ + "attn_kv_a_norm.weight", kRank, 0.5F, 1.5F);
    Linears("attn_k_b", heads, kRank, kNope);
    Linears("attn_v_b", heads, kValue, kRank);
    Linear("attn_output", model_.hidden, heads * kValue);
  }

  void AddFeedForward() {
    Linear("ffn_gate", model_.feed_forward, model_.hidden);
    Linear("ffn_up", model_.feed_forward, model_.hidden);
    Linear("ffn_down", model_.hidden, model_.feed_forward);
  }

  void AddExperts() {
    Linear("ffn_gate_inp", kExperts, model_.hidden, 3.0F);
    Linears("ffn_gate_exps", kExperts, kExpertInner, model_.hidden);
    Linears("ffn_up_exps", kExperts, kExpertInner, model_.hidden);
    Linears("ffn_down_exps", kExperts, model_.hidden, kExpertInner);
    if (model_.kind != TinyKind::kLatent) return;
    Linear("ffn_gate_shexp", kExpertInner, model_.hidden);
    Linear("ffn_up_shexp", kExpertInner, model_.hidden);
    Linear("ffn_down_shexp", model_.hidden, kExpertInner);
  }

  std::string Key(std::string_view name) const { return fmt::format("{}.{}", architecture_, name); }
  void Number(std::string_view name, int value) {
    writer_.Uint32(Key(name), static_cast<uint32_t>(value));
  }

  void Tensor(const std::string& name, WeightType kind, std::vector<uint64_t> dimensions,
              float deviation) {
    size_t elements = 1;
    for (const uint64_t dimension : dimensions) elements *= dimension;
    writer_.Add({.name = name + ".weight",
                 .dimensions = std::move(dimensions),
                 .type = static_cast<uint32_t>(kind),
                 .data = random_.Make(kind, elements, deviation),
                 .offset = {}});
  }
  void Matrix(const std::string& name, WeightType kind, int rows, int columns, float deviation) {
    Tensor(name, kind, {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)}, deviation);
  }
  void Vector(const std::string& name, int size, float lowest, float highest) {
    std::vector<std::byte> data;
    for (int i = 0; i < size; ++i) GgufWriter::Append(data, random_.Uniform(lowest, highest));
    writer_.Add({.name = name,
                 .dimensions = {static_cast<uint64_t>(size)},
                 .type = static_cast<uint32_t>(WeightType::kF32),
                 .data = std::move(data),
                 .offset = {}});
  }
  // Of the current layer, f32.
  void Table(std::string_view name, std::vector<uint64_t> dimensions, float lowest, float highest) {
    std::vector<std::byte> data;
    for (uint64_t i = 0; i < dimensions[0] * dimensions[1]; ++i) {
      GgufWriter::Append(data, random_.Uniform(lowest, highest));
    }
    writer_.Add({.name = fmt::format("{}{}", block_, name),
                 .dimensions = std::move(dimensions),
                 .type = static_cast<uint32_t>(WeightType::kF32),
                 .data = std::move(data),
                 .offset = {}});
  }
  void Norm(const std::string& name) { Vector(name + ".weight", model_.hidden, 0.5F, 1.5F); }
  static float Deviation(int inputs, float gain) {
    return gain / std::sqrt(static_cast<float>(inputs));
  }
  // Of the current layer.
  void Linear(std::string_view name, int outputs, int inputs, float gain = 1.0F) {
    const std::string full = fmt::format("{}{}", block_, name);
    Matrix(full, model_.type, outputs, inputs, Deviation(inputs, gain));
    if (model_.biases) Vector(full + ".bias", outputs, -0.2F, 0.2F);
  }
  void Linears(std::string_view name, int count, int outputs, int inputs) {
    Tensor(fmt::format("{}{}", block_, name), model_.type,
           {static_cast<uint64_t>(inputs), static_cast<uint64_t>(outputs),
            static_cast<uint64_t>(count)},
           Deviation(inputs, 1.0F));
  }

  const TinyModel& model_;
  std::string_view architecture_;
  RandomWeights random_;
  GgufWriter writer_;
  std::string block_;  // of the current layer
};

}  // namespace

std::string_view TinyKindName(TinyKind kind) {
  switch (kind) {
    case TinyKind::kDense:
      return "dense";
    case TinyKind::kWindow:
      return "window";
    case TinyKind::kExperts:
      return "experts";
    case TinyKind::kLatent:
      return "latent";
    case TinyKind::kRecurrent:
      return "recurrent";
  }
  return {};
}

GgufWriter TinyModel::MakeWriter() const { return TinyWriter(*this).Make(); }

void TinyModel::Write(const std::string& path) const {
  const std::vector<std::byte> bytes = Make();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  CHECK(file.good(), "a test can write its model");
}

}  // namespace reprise
