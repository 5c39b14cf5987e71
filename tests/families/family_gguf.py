"""Writes a case as GGUF, with the `gguf` package's own tables of names: what llama.cpp's converter
(convert_hf_to_gguf.py) makes of the same checkpoint."""

import logging

import gguf
import numpy as np

F32 = gguf.GGMLQuantizationType.F32
ARCHITECTURES = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}
# Families replace keys that all have; that is meant.
logging.getLogger("gguf.gguf_writer").setLevel(logging.ERROR)


def write(path, case, config, parameters):
    """`config`: of transformers, a dictionary; `parameters`: its checkpoint's names and values."""
    writer = gguf.GGUFWriter(path, case.architecture)
    writer.add_name(case.name)
    common_keys(writer, config)
    if case.keys is not None:
        case.keys(writer, config)
    names = gguf.get_tensor_name_map(ARCHITECTURES[case.architecture], config["num_hidden_layers"])
    for hf_name, values in parameters:
        if (
            "norm" in hf_name
            and case.norm_offset
            and not hf_name.endswith("linear_attn.norm.weight")
        ):
            values = values + np.float32(case.norm_offset)
        for name, made in (
            case.tensors(hf_name, values, config) if case.tensors else [(hf_name, values)]
        ):
            stored_name = gguf_name(names, name)
            kind = case.expert_type if stored_name.endswith("_exps.weight") else F32
            stored = gguf.quants.quantize(np.ascontiguousarray(made, dtype=np.float32), kind)
            writer.add_tensor(stored_name, stored, raw_dtype=kind)
    for name, values in case.extra_tensors(config) if case.extra_tensors else []:
        writer.add_tensor(name, np.asarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(names, name):
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise KeyError(f"the `gguf` package knows no name for '{name}'")
    return found


def common_keys(writer, config):
    """The keys of every family."""
    get = config.get
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    _rope_keys(writer, config)
    if (epsilon := get("rms_norm_eps", get("norm_eps"))) is not None:
        writer.add_layer_norm_rms_eps(epsilon)
    if (
        epsilon := get("layer_norm_eps", get("layer_norm_epsilon", get("norm_epsilon")))
    ) is not None:
        writer.add_layer_norm_eps(epsilon)
    if (count := get("num_local_experts", get("num_experts"))) is not None:
        writer.add_expert_count(count)
    if get("num_experts_per_tok") is not None:
        writer.add_expert_used_count(config["num_experts_per_tok"])
    if get("n_group") is not None:
        writer.add_expert_group_count(config["n_group"])
    if get("topk_group") is not None:
        writer.add_expert_group_used_count(config["topk_group"])
    if get("scoring_func") is not None:
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType[config["scoring_func"].upper()])
    if get("head_dim") is not None:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])


def _rope_keys(writer, config):
    parameters = config.get("rope_parameters") or {}
    local = parameters.get("sliding_attention")
    rope = parameters.get("full_attention", parameters)
    kind, factor = rope.get("rope_type"), rope.get("factor")
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(factor)
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(factor)
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if (value := rope.get("attention_factor")) is not None:
            writer.add_rope_scaling_yarn_attn_factor(value)
        if (value := rope.get("beta_fast")) is not None:
            writer.add_rope_scaling_yarn_beta_fast(value)
        if (value := rope.get("beta_slow")) is not None:
            writer.add_rope_scaling_yarn_beta_slow(value)
    elif kind == "longrope":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
    if "rope_theta" in rope:
        writer.add_rope_freq_base(rope["rope_theta"])
    if local is not None:
        writer.add_rope_freq_base_swa(local["rope_theta"])


def forget(writer, *names):
    """Keys that every family has, but not this one."""
    for name in names:
        writer.kv_data[0].pop(f"{writer.arch}.{name}", None)


# -- What several families need --------------------------------------------------------------------


def head_dim(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def permute(values, heads):
    """Rows of q and k of each head from halves (i, i + d/2) to neighbours (2i, 2i + 1)."""
    halves = values.reshape(heads, 2, -1, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def adjacent_pairs(name, values, config):
    if ".q_proj." in name:
        values = permute(values, config["num_attention_heads"])
    if ".k_proj." in name:
        values = permute(values, config["num_key_value_heads"])
    return [(name, values)]


def split_experts(name, values, config):
    """gate_up_proj [experts, 2 inner, hidden] into its two halves, which checkpoints keep apart."""
    if name.endswith("experts.gate_up_proj"):
        gate, up = np.split(values, 2, axis=-2)
        stem = name.removesuffix("gate_up_proj")
        return [(f"{stem}gate_proj.weight", gate), (f"{stem}up_proj.weight", up)]
    if name.endswith(("experts.down_proj", "experts.up_proj")):
        return [(f"{name}.weight", values)]
    return [(name, values)]


def llama3_factors(config):
    """Divisors of the rotary frequencies that Llama 3's scaling comes to."""
    rope = config["rope_parameters"]
    size = head_dim(config)
    frequencies = rope["rope_theta"] ** -(np.arange(0, size, 2, dtype=np.float64) / size)
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * np.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return [("rope_freqs.weight", 1 / ((1 - smooth) / rope["factor"] + smooth))]
