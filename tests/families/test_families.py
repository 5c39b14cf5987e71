"""Every family beside `transformers`: small random models (family_cases.py), written as llama.cpp's
converter writes them, against logits recorded in float64 (record.py). comparison.py derives the
bounds."""

import re

import gguf
import numpy as np
import pytest

import comparison
import random_weights
from family_cases import CASES
from recording import RECORDED, Recording

# Cases that the program does not take yet, and how it says so.
REFUSED = {
    "command-r-norms": r"'blk.0.attn_q_norm.weight' is unknown to architecture 'command-r'",
    "gpt-oss-mxfp4": r"weights of ggml type 39 are not supported",
    "nemotron-h-experts": r"models of architecture 'nemotron_h_moe' are not supported",
    "qwen3next": r"models of architecture 'qwen3next' are not supported",
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def case(request, tmp_path_factory):
    """A case's name, its recording, and its GGUF file."""
    recording = Recording.load(request.param)
    path = tmp_path_factory.mktemp(request.param) / "model.gguf"
    comparison.write_gguf(path, request.param, recording)
    yield request.param, recording, path
    path.unlink()


def difference(case, compute):
    """None where the program refuses the case as it should."""
    name, recording, path = case
    try:
        made = comparison.compare(path, recording, compute)
    except comparison.Refused as refused:
        assert re.search(REFUSED.get(name, "$^"), str(refused)), refused
        return None
    assert name not in REFUSED, "the case runs now; it need not be named in REFUSED any more"
    return made


def test_exact_errs_no_more_than_float32_must_and_continues_as_the_truth(case):
    if (made := difference(case, "exact")) is not None:
        assert comparison.exact_ratio(case[1], made) <= 1, made
        assert made.wrong_tokens == 0


def test_fast_errs_as_its_roundings_predict(case):
    if (made := difference(case, "fast")) is not None:
        assert comparison.fast_ratio(case[1], made) <= 1, made


def test_every_case_is_recorded_and_no_other():
    assert {path.stem for path in RECORDED.glob("*.npz")} == set(CASES)


# -- The writer ------------------------------------------------------------------------------------


def written(name, tmp_path):
    recording = Recording.load(name)
    comparison.write_gguf(tmp_path / "model.gguf", name, recording)
    tensors = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    return (
        recording.config,
        tensors,
        lambda tensor: random_weights.make(CASES[name], tensor, tuple(recording.shapes[tensor])),
    )


def test_heads_whose_pairs_are_neighbours_are_permuted(tmp_path):
    config, tensors, weights = written("llama", tmp_path)
    rows = weights("model.layers.0.self_attn.k_proj.weight")
    half = len(rows) // config["num_key_value_heads"] // 2
    key = tensors["blk.0.attn_k.weight"]
    assert np.array_equal(key[1], rows[half])
    assert np.array_equal(key[2 * half + 2], rows[2 * half + 1])


def test_norms_of_gemma_hold_what_the_network_multiplies_by(tmp_path):
    _, tensors, weights = written("gemma2", tmp_path)
    assert np.array_equal(tensors["output_norm.weight"], weights("model.norm.weight") + 1)


def test_gate_and_up_of_gpt_oss_are_taken_by_turns(tmp_path):
    _, tensors, weights = written("gpt-oss", tmp_path)
    both = weights("model.layers.1.mlp.experts.gate_up_proj")  # [experts, inputs, outputs]
    assert np.array_equal(tensors["blk.1.ffn_up_exps.weight"][3, 5], both[3, :, 11])


def test_latents_become_k_and_v_by_matrices_of_their_own(tmp_path):
    config, tensors, weights = written("deepseek2-v3", tmp_path)
    both = weights("model.layers.0.self_attn.kv_b_proj.weight")
    of_a_head = config["qk_nope_head_dim"] + config["v_head_dim"]
    assert np.array_equal(tensors["blk.0.attn_k_b.weight"][1, :, 2], both[of_a_head + 2])
    value = of_a_head + config["qk_nope_head_dim"] + 2
    assert np.array_equal(tensors["blk.0.attn_v_b.weight"][1, 2], both[value])


def test_the_delta_rules_heads_are_ungrouped(tmp_path):
    config, tensors, weights = written("qwen3next", tmp_path)
    grouped = weights("model.layers.0.linear_attn.in_proj_qkvz.weight")
    key, value = config["linear_key_head_dim"], config["linear_value_head_dim"]
    second = (
        2 * key + 2 * value * config["linear_num_value_heads"] // config["linear_num_key_heads"]
    )
    keys = config["linear_num_key_heads"] * key
    assert np.array_equal(tensors["blk.0.attn_qkv.weight"][keys + key], grouped[second + key])
    assert np.array_equal(tensors["blk.0.attn_gate.weight"][0], grouped[2 * key + 2 * value])
