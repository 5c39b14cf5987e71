"""Families whose K and V lie compressed in the cache (DeepSeek)."""

from dense_families import PLAIN_ROPE, YARN
from family_case import Case
from family_gguf import split_experts

LATENT = dict(
    num_key_value_heads=4, kv_lora_rank=64, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=32,
    first_k_dense_replace=1, moe_intermediate_size=32, n_routed_experts=8, num_experts_per_tok=3,
)  # fmt: skip


def deepseek_keys(writer, config):
    rank, turning = config["kv_lora_rank"], config["qk_rope_head_dim"]
    writer.add_head_count_kv(1)  # all query heads share the one latent
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    writer.add_vocab_size(config["vocab_size"])
    if config["q_lora_rank"] is not None:
        writer.add_q_lora_rank(config["q_lora_rank"])
    writer.add_kv_lora_rank(rank)
    writer.add_key_length(rank + turning)
    writer.add_value_length(rank)
    writer.add_key_length_mla(config["qk_nope_head_dim"] + turning)
    writer.add_value_length_mla(config["v_head_dim"])
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_expert_count(config["n_routed_experts"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    if config["norm_topk_prob"]:
        writer.add_expert_weights_norm(True)
    writer.add_rope_dimension_count(turning)
    if "mscale_all_dim" in config["rope_parameters"]:
        writer.add_rope_scaling_yarn_log_mul(0.1 * config["rope_parameters"]["mscale_all_dim"])


def deepseek_tensors(name, values, config):
    if name.endswith("kv_b_proj.weight"):  # what makes K and what makes V of the latent, apart
        keys = config["qk_nope_head_dim"]
        heads = values.reshape(config["num_attention_heads"], -1, values.shape[-1])
        yield name.replace("kv_b_proj", "k_b_proj"), heads[:, :keys].swapaxes(1, 2)
        yield name.replace("kv_b_proj", "v_b_proj"), heads[:, keys:]
    elif name.endswith("e_score_correction_bias"):
        yield name.replace("e_score_correction_bias", "e_score_correction.bias"), values
    else:
        yield from split_experts(name, values, config)


CASES = [
    Case("deepseek2-lite", "deepseek2", "DeepseekV2",
         dict(rope_parameters=dict(YARN, mscale=0.707, mscale_all_dim=0.707), q_lora_rank=None,
              n_shared_experts=2, routed_scaling_factor=1.0, norm_topk_prob=False,
              topk_method="greedy", scoring_func="softmax", **LATENT),
         deepseek_keys, deepseek_tensors, shows="queries uncompressed, YaRN, softmax"),
    Case("deepseek2-plain", "deepseek2", "DeepseekV3",
         dict(rope_parameters=PLAIN_ROPE, q_lora_rank=None, n_group=1, topk_group=1,
              n_shared_experts=1, routed_scaling_factor=2.5, norm_topk_prob=True,
              scoring_func="sigmoid", **LATENT),
         deepseek_keys, deepseek_tensors, shows="no scaling, sigmoid, one group (Moonlight)"),
    Case("deepseek2-v3", "deepseek2", "DeepseekV3",
         dict(rope_parameters=dict(YARN, mscale=1.0, mscale_all_dim=1.0), q_lora_rank=32, n_group=4,
              topk_group=2, n_shared_experts=1, routed_scaling_factor=2.5, norm_topk_prob=True,
              scoring_func="sigmoid", **LATENT),
         deepseek_keys, deepseek_tensors,
         shows="queries compressed, YaRN, sigmoid with a bias for the choice, groups (V3, R1)"),
]  # fmt: skip
