"""Families with experts."""

import numpy as np
from gguf import GGMLQuantizationType as Type

from dense_families import GRANITE, PLAIN_ROPE, YARN, granite_keys, llama_keys
from family_case import Case
from family_gguf import adjacent_pairs, split_experts

EXPERTS = dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32)


def mixtral_tensors(name, values, config):
    for name, values in split_experts(name, values, config):
        yield from adjacent_pairs(name, values, config)


def qwen_keys(writer, config):
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if config.get("shared_expert_intermediate_size") is not None:
        writer.add_expert_shared_feed_forward_length(config["shared_expert_intermediate_size"])


def qwen2moe_tensors(name, values, config):
    if name.endswith("shared_expert_gate.weight"):
        values = values.squeeze(0)  # as files made before 2025 have it; qwen3next has it as it is
    return split_experts(name, values, config)


def granitemoe_keys(writer, config):
    granite_keys(writer, config)
    if config.get("shared_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(config["shared_intermediate_size"])


def granitemoe_tensors(name, values, config):
    """The names of checkpoints: a router has a layer; what feeds the experts is 'input_linear'."""
    stem = name.rsplit("block_sparse_moe.", 1)[0].rsplit("shared_mlp.", 1)[0]
    if name.endswith("block_sparse_moe.router.weight"):
        return [(f"{stem}block_sparse_moe.router.layer.weight", values)]
    if name.endswith("block_sparse_moe.experts.down_proj"):
        return [(f"{stem}block_sparse_moe.output_linear.weight", values)]
    if name.endswith("block_sparse_moe.experts.gate_up_proj"):
        gate, up = np.split(values, 2, axis=-2)
        return [
            (f"{stem}mlp.experts.gate_proj.weight", gate),
            (f"{stem}mlp.experts.up_proj.weight", up),
        ]
    if name.endswith("shared_mlp.input_linear.weight"):
        gate, up = np.split(values, 2, axis=-2)
        kind = "mlp.shared_experts" if config["num_local_experts"] else "mlp"
        return [(f"{stem}{kind}.gate_proj.weight", gate), (f"{stem}{kind}.up_proj.weight", up)]
    if name.endswith("shared_mlp.output_linear.weight") and not config["num_local_experts"]:
        return [(f"{stem}mlp.down_proj.weight", values)]
    return adjacent_pairs(name, values, config)


def gpt_oss_keys(writer, config):
    writer.add_sliding_window(config["sliding_window"])
    writer.add_expert_feed_forward_length(config["intermediate_size"])


def gpt_oss_tensors(name, values, config):
    """Experts are [experts, inputs, outputs], gate and up by turns."""
    stem = name.rsplit(".", 1)[0]
    if name.endswith(".sinks"):
        return [(f"{name}.weight", values)]
    if name.endswith("experts.gate_up_proj"):
        gate, up = values[..., ::2].swapaxes(-1, -2), values[..., 1::2].swapaxes(-1, -2)
        return [(f"{stem}.gate_proj.weight", gate), (f"{stem}.up_proj.weight", up)]
    if name.endswith("experts.gate_up_proj_bias"):
        return [
            (f"{stem}.gate_proj.bias", values[..., ::2]),
            (f"{stem}.up_proj.bias", values[..., 1::2]),
        ]
    if name.endswith("experts.down_proj"):
        return [(f"{name}.weight", values.swapaxes(-1, -2))]
    if name.endswith("experts.down_proj_bias"):
        return [(f"{stem}.down_proj.bias", values)]
    return [(name, values)]


GPT_OSS = dict(
    head_dim=32, num_local_experts=6, num_experts_per_tok=2, intermediate_size=64,
    sliding_window=16, num_hidden_layers=4, swiglu_limit=7.0,
)  # fmt: skip

CASES = [
    Case("mixtral", "llama", "Mixtral",
         dict(rope_parameters=PLAIN_ROPE, num_local_experts=4, num_experts_per_tok=2), llama_keys,
         mixtral_tensors, shows="softmax over the chosen"),
    Case("qwen2moe", "qwen2moe", "Qwen2Moe",
         dict(rope_parameters=PLAIN_ROPE, shared_expert_intermediate_size=64, norm_topk_prob=False,
              **EXPERTS), qwen_keys, qwen2moe_tensors,
         shows="a shared expert with a gate, weights that do not add to 1"),
    Case("qwen3moe", "qwen3moe", "Qwen3Moe",
         dict(rope_parameters=PLAIN_ROPE, head_dim=32, norm_topk_prob=True, **EXPERTS), qwen_keys,
         split_experts, shows="q and k norms, weights that add to 1"),
    Case("qwen3moe-q4", "qwen3moe", "Qwen3Moe",
         dict(rope_parameters=PLAIN_ROPE, head_dim=32, norm_topk_prob=True, **EXPERTS), qwen_keys,
         split_experts, expert_type=Type.Q4_0, shows="experts in Q4_0"),
    Case("olmoe", "olmoe", "Olmoe",
         dict(rope_parameters=PLAIN_ROPE, num_experts=6, num_experts_per_tok=3,
              intermediate_size=64, norm_topk_prob=False), tensors=split_experts,
         shows="norms of q and k over all heads, weights that do not add to 1"),
    Case("granitemoe", "granitemoe", "GraniteMoe",
         dict(rope_parameters=PLAIN_ROPE, num_local_experts=6, num_experts_per_tok=2,
              intermediate_size=64, **GRANITE), granitemoe_keys, granitemoe_tensors,
         shows="Granite's four scales"),
    Case("granitemoe-shared", "granitemoe", "GraniteMoeShared",
         dict(rope_parameters=PLAIN_ROPE, num_local_experts=6, num_experts_per_tok=2,
              intermediate_size=64, shared_intermediate_size=32, tie_word_embeddings=True,
              **GRANITE),
         granitemoe_keys, granitemoe_tensors, shows="a shared expert, tied"),
    Case("gpt-oss", "gpt-oss", "GptOss",
         dict(rope_parameters=PLAIN_ROPE, **GPT_OSS), gpt_oss_keys, gpt_oss_tensors,
         shows="sinks, windows in every other layer, biases everywhere, clamped SwiGLU"),
    Case("gpt-oss-yarn", "gpt-oss", "GptOss",
         dict(rope_parameters=dict(YARN, truncate=False), **GPT_OSS), gpt_oss_keys, gpt_oss_tensors,
         shows="YaRN"),
    Case("gpt-oss-mxfp4", "gpt-oss", "GptOss",
         dict(rope_parameters=dict(YARN, truncate=False), **GPT_OSS), gpt_oss_keys, gpt_oss_tensors,
         expert_type=Type.MXFP4, shows="experts in MXFP4, as the files have them"),
]  # fmt: skip
