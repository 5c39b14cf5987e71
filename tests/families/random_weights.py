"""Random weights of a checkpoint, a function of the case and the tensor's name alone.

They are multiples of 2^-14, so that what the converter adds to them (1 to the norms of some
families) is exact in float32, and so spread that every part of a network shows in its logits:
norms differ from 1, biases from 0, attention prefers some keys, routers are far from ties."""

import zlib

import gguf
import numpy as np

GRID = 2.0**14


def make(case, name, shape):
    random = np.random.default_rng(zlib.crc32(f"{case.name}/{name}".encode()))
    values = _values(random, case, name, shape)
    values = (np.round(values * GRID) / GRID).astype(np.float32)
    if is_expert(name, shape) and case.expert_type != gguf.GGMLQuantizationType.F32:
        values = _storable(values, case)
    return values


def is_expert(name, shape):
    return ".experts." in name and len(shape) == 3


def _storable(values, case):
    """Values that the type holds exactly: rounding them again changes nothing."""
    turned = _outputs_last(case)
    rows = np.ascontiguousarray(values.swapaxes(-1, -2) if turned else values)
    stored = gguf.quants.quantize(rows, case.expert_type)
    rounded = gguf.quants.dequantize(stored, case.expert_type).reshape(rows.shape)
    return rounded.swapaxes(-1, -2) if turned else rounded


def _outputs_last(case):
    """gpt-oss alone keeps its experts as [experts, inputs, outputs]."""
    return case.architecture == "gpt-oss"


def _values(random, case, name, shape):
    kind = name.rsplit(".", 1)[-1]
    if "norm" in name and kind == "weight":
        offset = 0.0 if name.endswith("linear_attn.norm.weight") else case.norm_offset
        return random.uniform(0.5, 1.5, shape) - offset
    if kind == "A_log":
        return np.log(random.uniform(0.25, 4, shape))
    if kind == "dt_bias":
        return random.uniform(-3, 0, shape)
    if kind == "D":
        return random.uniform(0.5, 1.5, shape)
    if kind == "sinks":
        return random.uniform(-1, 2, shape)
    if kind in ("e_score_correction_bias", "expert_bias"):
        return random.uniform(-0.2, 0.2, shape)
    if kind in ("bias", "gate_up_proj_bias", "down_proj_bias"):
        return random.uniform(-0.3, 0.3, shape)
    if "embed" in name:
        return random.normal(0, 0.3, shape)
    if "conv" in name:  # [channels, 1, taps]
        return random.normal(0, 1 / np.sqrt(shape[-1]), shape)
    return random.normal(0, _gain(name) / np.sqrt(_inputs(case, name, shape)), shape)


def _inputs(case, name, shape):
    return shape[-2] if is_expert(name, shape) and _outputs_last(case) else shape[-1]


def _gain(name):
    """Of a matrix: how much larger its outputs are than its inputs."""
    if name.endswith(
        ("mlp.gate.weight", "router.weight", "feed_forward.gate.weight", "mixer.gate.weight")
    ):
        return 3.0
    if any(part in name for part in ("q_proj", "k_proj", "qkv_proj", "q_b_proj", "kv_b_proj")):
        return 1.7
    if name == "lm_head.weight":
        return 3.0
    return 1.0
