"""Families with layers that keep a state of fixed size: convolutions, Mamba 2, gated delta rule."""

import gguf
import numpy as np

from dense_families import GRANITE, PLAIN_ROPE
from expert_families import granitemoe_keys, granitemoe_tensors, qwen_keys
from family_case import Case
from family_gguf import forget, split_experts

# -- LFM2 ------------------------------------------------------------------------------------------


def lfm2_keys(writer, config):
    writer.add_head_count_kv(
        [0 if kind == "conv" else config["num_key_value_heads"] for kind in config["layer_types"]]
    )
    writer.add_vocab_size(config["vocab_size"])
    writer.add_shortconv_l_cache(config["conv_L_cache"])
    if "num_dense_layers" in config:
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
        writer.add_leading_dense_block_count(config["num_dense_layers"])
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)


def lfm2_tensors(name, values, config):
    if name.endswith("conv.conv.weight"):
        values = values.squeeze(1)
    if name.endswith(".expert_bias"):
        name += ".bias"
    for made, values in split_experts(name, values, config):
        if ".experts." in made:  # checkpoints call an expert's matrices w1, w2, w3
            for ours, theirs in (("gate_proj", "w1"), ("down_proj", "w2"), ("up_proj", "w3")):
                made = made.replace(ours, theirs)
            made = made.removeprefix("model.")
        yield made, values


# -- Mamba 2 ---------------------------------------------------------------------------------------


def mamba2_tensors(name, values, groups):
    if name.endswith(".dt_bias"):
        name = name.replace(".dt_bias", ".dt_proj.bias")
    elif name.endswith(".A_log"):
        values = -np.exp(values).reshape(-1, 1)
    elif name.endswith((".mamba.D", ".mixer.D")):
        values = values.reshape(-1, 1)
    elif name.endswith("conv1d.weight"):
        values = values.squeeze(1)
    elif name.endswith((".mamba.norm.weight", ".mixer.norm.weight")):
        values = values.reshape(groups, -1)
    return name, values


def attends(kind):
    return kind in ("attention", "full_attention")


def granitehybrid_keys(writer, config):
    granitemoe_keys(writer, config)
    writer.add_ssm_conv_kernel(config["mamba_d_conv"])
    writer.add_ssm_state_size(config["mamba_d_state"])
    writer.add_ssm_group_count(config["mamba_n_groups"])
    writer.add_ssm_inner_size(config["mamba_n_heads"] * config["mamba_d_head"])
    writer.add_ssm_time_step_rank(config["mamba_n_heads"])
    writer.add_head_count_kv(
        [config["num_key_value_heads"] if attends(kind) else 0 for kind in config["layer_types"]]
    )
    if not config["num_local_experts"]:
        writer.add_expert_used_count(0)
    writer.add_rope_scaling_finetuned(False)
    writer.add_context_length(2**20)


def granitehybrid_tensors(name, values, config):
    if ".mamba." in name:
        return [mamba2_tensors(name, values, config["mamba_n_groups"])]
    return granitemoe_tensors(name, values, config)


MAMBA = dict(
    mamba_n_heads=8, mamba_d_head=16, mamba_d_state=32, mamba_expand=2,
    position_embedding_type="nope",
    layer_types=["mamba", "mamba", "attention", "mamba"], num_hidden_layers=4, **GRANITE,
)  # fmt: skip


def nemotron_h_keys(writer, config):
    kinds = config["layers_block_type"]
    per_layer = lambda kind, value: [value if kind == k else 0 for k in kinds]
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_ssm_conv_kernel(config["conv_kernel"])
    writer.add_ssm_state_size(config["ssm_state_size"])
    writer.add_ssm_group_count(config["n_groups"])
    writer.add_ssm_inner_size(config["mamba_num_heads"] * config["mamba_head_dim"])
    writer.add_ssm_time_step_rank(config["mamba_num_heads"])
    writer.add_head_count_kv([config["num_key_value_heads"] if attends(k) else 0 for k in kinds])
    writer.add_rope_scaling_finetuned(False)
    writer.add_context_length(2**20)
    writer.add_layer_norm_rms_eps(config["layer_norm_epsilon"])
    if "moe" not in kinds:
        writer.add_feed_forward_length(per_layer("mlp", config["intermediate_size"]))
        forget(writer, "expert_used_count", "expert_group_count", "expert_group_used_count")
        return
    writer.add_feed_forward_length(per_layer("moe", config["moe_intermediate_size"]))
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_expert_shared_feed_forward_length(config["moe_shared_expert_intermediate_size"])
    writer.add_expert_count(config["n_routed_experts"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_expert_weights_norm(config["norm_topk_prob"])
    writer.add_expert_weights_scale(config["routed_scaling_factor"])


def nemotron_h_tensors(name, values, config):
    name = name.replace("model.", "backbone.", 1)
    if name.endswith("e_score_correction_bias"):
        return [(name.replace("e_score_correction_bias", "e_score_correction.bias"), values)]
    if ".mixer.experts." in name:
        return [
            (name.replace("backbone.", "model.").replace(".mixer.", ".mlp.") + ".weight", values)
        ]
    name, values = mamba2_tensors(name, values, config["n_groups"])
    return [(name.replace(".dt_proj.bias", ".dt.bias"), values)]


NEMOTRON = dict(
    num_hidden_layers=None, mamba_num_heads=8, mamba_head_dim=16, ssm_state_size=32, n_groups=2,
    head_dim=32, use_mamba_kernels=False,
)  # fmt: skip

# -- Gated delta rule ------------------------------------------------------------------------------


def qwen3next_keys(writer, config):
    qwen_keys(writer, config)
    writer.add_ssm_conv_kernel(config["linear_conv_kernel_dim"])
    writer.add_ssm_state_size(config["linear_key_head_dim"])
    writer.add_ssm_group_count(config["linear_num_key_heads"])
    writer.add_ssm_time_step_rank(config["linear_num_value_heads"])
    writer.add_ssm_inner_size(config["linear_value_head_dim"] * config["linear_num_value_heads"])
    writer.add_full_attention_interval(config.get("full_attention_interval", 4))
    share = config["rope_parameters"]["partial_rotary_factor"]
    writer.add_rope_dimension_count(int(share * config["head_dim"]))


def qwen3next_tensors(name, values, config):
    stem = name.rsplit(".", 2)[0]
    if name.endswith(".A_log"):
        yield name, -np.exp(values)
    elif name.endswith(".dt_bias"):
        yield f"{name.removesuffix('.dt_bias')}.dt_proj.bias", values
    elif name.endswith("conv1d.weight"):
        yield name, values.squeeze(1)
    elif name.endswith("in_proj_qkvz.weight"):
        # From q, k, v, z of each key head to q, k, v of all heads, and z apart.
        key, value = config["linear_key_head_dim"], config["linear_value_head_dim"]
        heads = config["linear_num_key_heads"]
        values_of_one = config["linear_num_value_heads"] // heads * value
        per_head = values.reshape(heads, -1, values.shape[-1])
        parts = np.split(per_head, np.cumsum([key, key, values_of_one]), axis=1)
        q, k, v, z = (part.reshape(-1, values.shape[-1]) for part in parts)
        # The name map knows a fused in_proj_qkv and in_proj_z of later families under these names.
        yield f"{stem}.in_proj_qkv.weight", np.concatenate([q, k, v])
        yield f"{stem}.in_proj_z.weight", z
    else:
        yield from split_experts(name, values, config)


CASES = [
    Case("lfm2", "lfm2", "Lfm2",
         dict(rope_parameters=dict(PLAIN_ROPE, rope_theta=1e6), num_hidden_layers=4, conv_L_cache=3,
              layer_types=["conv", "full_attention", "conv", "conv"],
              block_auto_adjust_ff_dim=False),
         lfm2_keys, lfm2_tensors, shows="short convolutions, q and k norms, tied"),
    Case("lfm2moe", "lfm2moe", "Lfm2Moe",
         dict(rope_parameters=dict(PLAIN_ROPE, rope_theta=1e6), num_hidden_layers=4, conv_L_cache=3,
              layer_types=["conv", "full_attention", "conv", "full_attention"], num_dense_layers=1,
              num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32),
         lfm2_keys, lfm2_tensors,
         shows="the same with experts, sigmoid with a bias for the choice"),
    Case("granitehybrid", "granitehybrid", "GraniteMoeHybrid",
         dict(num_local_experts=0, shared_intermediate_size=96, tie_word_embeddings=True,
              mamba_n_groups=1, **MAMBA),
         granitehybrid_keys, granitehybrid_tensors, shows="Mamba 2, attention without positions"),
    Case("granitehybrid-experts", "granitehybrid", "GraniteMoeHybrid",
         dict(num_local_experts=6, num_experts_per_tok=2, intermediate_size=64,
              shared_intermediate_size=32, mamba_n_groups=2, **MAMBA),
         granitehybrid_keys, granitehybrid_tensors,
         shows="Mamba 2 in two groups, experts, a shared one"),
    Case("nemotron-h", "nemotron_h", "NemotronH",
         dict(layers_block_type=["mamba", "mlp", "attention", "mlp", "mamba"], **NEMOTRON),
         nemotron_h_keys, nemotron_h_tensors,
         shows="Mamba 2, attention and squared ReLU as layers of their own"),
    Case("nemotron-h-experts", "nemotron_h_moe", "NemotronH",
         dict(layers_block_type=["mamba", "moe", "attention", "moe"], n_routed_experts=6,
              num_experts_per_tok=2, moe_intermediate_size=32, n_group=1, topk_group=1,
              moe_shared_expert_intermediate_size=64, routed_scaling_factor=2.5, **NEMOTRON),
         nemotron_h_keys, nemotron_h_tensors, shows="experts of squared ReLU, a shared one"),
    Case("qwen3next", "qwen3next", "Qwen3Next",
         dict(rope_parameters=dict(PLAIN_ROPE, partial_rotary_factor=0.25), num_hidden_layers=5,
              head_dim=64, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32,
              shared_expert_intermediate_size=64, norm_topk_prob=True, linear_num_key_heads=2,
              linear_num_value_heads=4, linear_key_head_dim=32, linear_value_head_dim=32),
         qwen3next_keys, qwen3next_tensors, norm_offset=1.0,
         shows="gated delta rule, gated attention, a quarter rotated, experts"),
]  # fmt: skip
