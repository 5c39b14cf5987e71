"""Families without experts whose layers all attend."""

import math

import gguf

from family_case import Case
from family_gguf import adjacent_pairs, forget, head_dim, llama3_factors

# Numbers that no program takes where a file does not say.
PLAIN_ROPE = dict(rope_type="default", rope_theta=5000.0)
YARN = dict(
    rope_type="yarn", rope_theta=5000.0, factor=4.0, original_max_position_embeddings=256,
    beta_fast=4.0, beta_slow=0.25,
)  # fmt: skip
LLAMA3 = dict(
    rope_type="llama3", rope_theta=5000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=64,
)  # fmt: skip


def llama_keys(writer, config):
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_dimension_count(head_dim(config))


def gemma2_keys(writer, config):
    forget(writer, "rope.freq_base")
    writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    writer.add_sliding_window(config["sliding_window"])


def gemma3_keys(writer, config):
    writer.add_sliding_window(config["sliding_window"])


def phi3_keys(writer, config):
    forget(writer, "rope.scaling.type", "attention.key_length", "attention.value_length")
    writer.add_rope_scaling_orig_ctx_len(config["original_max_position_embeddings"])
    share = config["rope_parameters"].get("partial_rotary_factor", 1.0)
    writer.add_rope_dimension_count(int(share * head_dim(config)))
    writer.add_sliding_window(config["sliding_window"] or 0)
    if config["rope_parameters"]["rope_type"] == "longrope":
        original = config["original_max_position_embeddings"]
        scale = config["max_position_embeddings"] / original
        stretch = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
        writer.add_rope_scaling_attn_factors(stretch)


def phi3_factors(config):
    rope = config["rope_parameters"]
    return [
        (f"rope_factors_{length}.weight", rope[f"{length}_factor"])
        for length in ("long", "short")
        if f"{length}_factor" in rope
    ]


def longrope(count):
    return dict(
        rope_type="longrope",
        rope_theta=5000.0,
        short_factor=[1 + i / 16 for i in range(count)],
        long_factor=[1 + i * i / 4 for i in range(count)],
    )


def mistral3_keys(writer, config):
    llama_keys(writer, config)
    writer.add_rope_scaling_yarn_log_mul(config["rope_parameters"]["mscale_all_dim"])
    writer.add_attn_temperature_scale(config["rope_parameters"]["llama_4_scaling_beta"])


def granite_keys(writer, config):
    llama_keys(writer, config)
    writer.add_attention_scale(config["attention_multiplier"])
    writer.add_embedding_scale(config["embedding_multiplier"])
    writer.add_residual_scale(config["residual_multiplier"])
    writer.add_logit_scale(config["logits_scaling"])


GRANITE = dict(
    attention_multiplier=0.3125, embedding_multiplier=6.0, residual_multiplier=0.375,
    logits_scaling=2.0,
)  # fmt: skip


def command_r_keys(writer, config):
    writer.add_logit_scale(config["logit_scale"])
    writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)


def cohere2_keys(writer, config):
    writer.add_logit_scale(config["logit_scale"])
    writer.add_sliding_window(config["sliding_window"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_dimension_count(head_dim(config))
    writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)


def glm4_keys(writer, config):
    share = config["rope_parameters"]["partial_rotary_factor"]
    writer.add_rope_dimension_count(int(share * head_dim(config)))


def exaone_keys(writer, config):
    writer.add_rope_dimension_count(head_dim(config))


def exaone4_keys(writer, config):
    writer.add_vocab_size(config["vocab_size"])
    if config["sliding_window"] is not None:
        writer.add_sliding_window(config["sliding_window"])
        slides = [kind == "sliding_attention" for kind in config["layer_types"]]
        writer.add_sliding_window_pattern(slides)


CASES = [
    Case("llama", "llama", "Llama", dict(rope_parameters=PLAIN_ROPE, tie_word_embeddings=True),
         llama_keys, adjacent_pairs, shows="tied"),
    Case("llama-3", "llama", "Llama",
         dict(rope_parameters=LLAMA3, head_dim=32, num_key_value_heads=1), llama_keys,
         adjacent_pairs, llama3_factors, shows="Llama 3 scaling, heads wider than hidden / heads"),
    Case("llama-biases", "llama", "Llama",
         dict(rope_parameters=dict(PLAIN_ROPE, rope_type="linear", factor=2.0),
              attention_bias=True, mlp_bias=True),
         llama_keys, adjacent_pairs, shows="biases, linear scaling"),
    Case("llama-yarn", "llama", "Llama", dict(rope_parameters=YARN), llama_keys, adjacent_pairs,
         shows="YaRN"),
    Case("mistral3", "mistral3", "Ministral3",
         dict(head_dim=32, rope_parameters=dict(YARN, original_max_position_embeddings=32,
                                                mscale=1.0, mscale_all_dim=1.0,
                                                llama_4_scaling_beta=0.25)),
         mistral3_keys, adjacent_pairs, shows="YaRN that does not scale, queries that grow"),
    Case("qwen2", "qwen2", "Qwen2", dict(rope_parameters=PLAIN_ROPE), shows="biases of q, k, v"),
    Case("qwen2-tied", "qwen2", "Qwen2", dict(rope_parameters=YARN, tie_word_embeddings=True),
         shows="tied, YaRN"),
    Case("qwen3", "qwen3", "Qwen3",
         dict(rope_parameters=dict(PLAIN_ROPE, rope_theta=1e6), hidden_size=96,
              num_attention_heads=6, num_key_value_heads=3, head_dim=48),
         shows="q and k norms, heads of 48"),
    Case("gemma2", "gemma2", "Gemma2",
         dict(rope_parameters=dict(PLAIN_ROPE, rope_theta=10000.0), head_dim=32,
              query_pre_attn_scalar=32, sliding_window=16, attn_logit_softcapping=4.0,
              final_logit_softcapping=8.0, num_hidden_layers=4),
         gemma2_keys, norm_offset=1.0, shows="windows in every other layer, caps, four norms"),
    Case("gemma3", "gemma3", "Gemma3Text",
         dict(rope_parameters=dict(full_attention=dict(PLAIN_ROPE, rope_theta=1e6),
                                   sliding_attention=PLAIN_ROPE),
              head_dim=32, query_pre_attn_scalar=32, sliding_window=16, num_hidden_layers=7),
         gemma3_keys, norm_offset=1.0, shows="windows in five of six layers, two rotary bases"),
    Case("gemma3-linear", "gemma3", "Gemma3Text",
         dict(rope_parameters=dict(full_attention=dict(PLAIN_ROPE, rope_type="linear", factor=8.0),
                                   sliding_attention=PLAIN_ROPE),
              head_dim=32, query_pre_attn_scalar=32, sliding_window=24, num_hidden_layers=6),
         gemma3_keys, norm_offset=1.0, shows="linear scaling of the full layers only"),
    Case("phi3", "phi3", "Phi3", dict(rope_parameters=PLAIN_ROPE,
                                      original_max_position_embeddings=512),
         phi3_keys, extra_tensors=phi3_factors, shows="fused q, k, v and gate, up"),
    Case("phi3-window", "phi3", "Phi3",
         dict(rope_parameters=PLAIN_ROPE, sliding_window=24, original_max_position_embeddings=512),
         phi3_keys, extra_tensors=phi3_factors, shows="a window in every layer"),
    Case("phi3-long", "phi3", "Phi3",
         dict(rope_parameters=longrope(8), original_max_position_embeddings=32),
         phi3_keys, extra_tensors=phi3_factors, shows="LongRoPE's long factors"),
    Case("phi3-short", "phi3", "Phi3",
         dict(rope_parameters=dict(longrope(6), partial_rotary_factor=0.75),
              original_max_position_embeddings=512, tie_word_embeddings=True),
         phi3_keys, extra_tensors=phi3_factors,
         shows="LongRoPE's short factors, rotation of three quarters, tied (Phi-4-mini)"),
    Case("smollm3", "smollm3", "SmolLM3",
         dict(rope_parameters=PLAIN_ROPE, num_hidden_layers=5, tie_word_embeddings=True),
         llama_keys, adjacent_pairs, shows="every fourth layer without positions"),
    Case("olmo2", "olmo2", "Olmo2", dict(rope_parameters=PLAIN_ROPE),
         shows="norms after the sublayers, q and k norms over all heads"),
    Case("granite", "granite", "Granite", dict(rope_parameters=PLAIN_ROPE, **GRANITE),
         granite_keys, adjacent_pairs, shows="scales of embedding, residual, attention, logits"),
    Case("command-r", "command-r", "Cohere",
         dict(rope_parameters=PLAIN_ROPE, logit_scale=0.25), command_r_keys,
         shows="layer norms, attention beside the feed-forward"),
    Case("command-r-norms", "command-r", "Cohere",
         dict(rope_parameters=PLAIN_ROPE, logit_scale=0.25, use_qk_norm=True), command_r_keys,
         shows="q and k norms with weights for each head (Command R+)"),
    Case("cohere2", "cohere2", "Cohere2",
         dict(rope_parameters=PLAIN_ROPE, logit_scale=0.25, sliding_window=16, num_hidden_layers=5),
         cohere2_keys, shows="windows, full layers without positions"),
    Case("starcoder2", "starcoder2", "Starcoder2",
         dict(rope_parameters=PLAIN_ROPE, tie_word_embeddings=False),
         shows="layer norms with biases, GELU without a gate"),
    Case("starcoder2-tied", "starcoder2", "Starcoder2",
         dict(rope_parameters=PLAIN_ROPE, tie_word_embeddings=True, num_hidden_layers=2),
         shows="tied"),
    Case("glm4", "glm4", "Glm4",
         dict(rope_parameters=dict(PLAIN_ROPE, partial_rotary_factor=0.5), head_dim=32,
              attention_bias=True), glm4_keys,
         shows="half rotated in neighbouring pairs, four norms, biases of q, k, v"),
    Case("exaone", "exaone", "Exaone", dict(rope_parameters=LLAMA3), exaone_keys,
         extra_tensors=llama3_factors, shows="Llama 3 scaling"),
    Case("exaone4", "exaone4", "Exaone4",
         dict(rope_parameters=LLAMA3, sliding_window=16, sliding_window_pattern=4,
              num_hidden_layers=5), exaone4_keys, extra_tensors=llama3_factors,
         shows="windows, full layers without positions, norms after the sublayers (32B)"),
    Case("exaone4-full", "exaone4", "Exaone4",
         dict(rope_parameters=LLAMA3, sliding_window=None, sliding_window_pattern=None,
              tie_word_embeddings=True, layer_types=["full_attention"] * 3), exaone4_keys,
         extra_tensors=llama3_factors, shows="positions in every layer, tied (1.2B)"),
    Case("arcee", "arcee", "Arcee", dict(rope_parameters=PLAIN_ROPE, hidden_act="relu2"), llama_keys,
         adjacent_pairs, shows="squared ReLU without a gate"),
]  # fmt: skip
