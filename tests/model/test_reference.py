"""The forward pass against the numpy reference (reference.py). docs/design/numerics.md derives the
bounds used here."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

import reference
import tiny_gguf

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = pathlib.Path(
    os.environ.get("REPRISE_MODEL", ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf")
)
PROGRAM = os.environ.get("REPRISE_DUMP_LOGITS", ROOT / "build/release/tests/model/dump_logits")
PROMPTS = json.loads((pathlib.Path(__file__).parent / "prompts.json").read_text())
STEPS = 64


def run(model, prompts, output, compute, isa="auto", steps=0):
    """The continuation of each prompt, and the logits of each one's tokens [tokens, vocabulary]."""
    if not os.path.exists(PROGRAM):
        pytest.fail(f"{PROGRAM} is not built; build it or set REPRISE_DUMP_LOGITS")
    result = subprocess.run(
        [PROGRAM, model, compute, isa, str(steps), output],
        input="\n".join(" ".join(map(str, prompt)) for prompt in prompts),
        capture_output=True,
        text=True,
    )
    if "instruction set" in result.stderr or "AMX" in result.stderr:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    lengths = [len(prompt) + steps for prompt in prompts]
    logits = np.fromfile(output, np.float32).reshape(sum(lengths), -1).astype(np.float64)
    continuations = [[int(word) for word in line.split()] for line in result.stdout.splitlines()]
    return continuations, np.split(logits, np.cumsum(lengths)[:-1])


def rms(x):
    return np.sqrt(np.mean(x**2))


def centred(x):
    """Without what all logits of a row share, which changes no probability."""
    return x - x.mean(axis=-1, keepdims=True)


def assert_errs_as_float32_must(model, tokens, error):
    """`error` against what disturbing each operation as float32 does leads to."""
    truth = model.logits(tokens, reference.Full(np.float64))
    error = error - truth
    expected = [model.logits(tokens, reference.Noisy(seed)) - truth for seed in (1, 2)]
    assert rms(error) <= max(rms(e) for e in expected)
    assert np.abs(error).max() <= 2 * max(np.abs(e).max() for e in expected)


# -- The real model ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    if not MODEL.exists():
        pytest.skip(f"no model at {MODEL} (set REPRISE_MODEL)")
    return reference.Model(MODEL)


@pytest.fixture(scope="module")
def exact(model, tmp_path_factory):
    """Continuations and logits of all prompts under --compute exact."""
    prompts = [prompt["tokens"] for prompt in PROMPTS]
    output = tmp_path_factory.mktemp("exact") / "logits"
    result = run(MODEL, prompts, output, "exact", steps=STEPS)
    output.unlink()
    return result


def test_exact_continues_each_prompt_as_the_reference_does(model, exact):
    assert len(PROMPTS) == 10
    continuations, _ = exact
    prompts = [prompt["tokens"] for prompt in PROMPTS]
    expected, _ = model.continue_greedily(prompts, STEPS, reference.Full(np.float32))
    for prompt, ours, theirs in zip(PROMPTS, continuations, expected):
        assert ours == list(theirs), prompt["text"]


def test_exact_errs_no_more_than_float32_must(model, exact):
    continuations, logits = exact
    assert_errs_as_float32_must(model, PROMPTS[0]["tokens"] + continuations[0], logits[0])


@pytest.mark.parametrize("isa", ["amx", "amx_emulated", "avx512", "avx_vnni", "avx2"])
def test_fast_errs_as_its_arithmetic_predicts(model, exact, tmp_path, isa):
    tokens = PROMPTS[1]["tokens"] + exact[0][1]
    _, (logits,) = run(MODEL, [tokens], tmp_path / "logits", "fast", isa)
    truth = model.logits(tokens, reference.Full(np.float64))
    predicted = model.logits(tokens, reference.Fast())
    ratio = rms(centred(logits - truth)) / rms(centred(predicted - truth))
    assert 0.8 < ratio < 1.25


# -- Tiny models in every storage type -------------------------------------------------------------

TOKENS = list(np.random.default_rng(5).integers(0, tiny_gguf.VOCABULARY, 200))


@pytest.mark.parametrize("kind", tiny_gguf.TYPES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("extras", [False, True], ids=["bare", "extras"])
def test_exact_errs_no_more_than_float32_must_in_every_type(tmp_path, kind, extras):
    path = tmp_path / "tiny.gguf"
    tiny_gguf.write(path, kind, layers=2, extras=extras)
    _, (logits,) = run(path, [TOKENS], tmp_path / "logits", "exact")
    assert_errs_as_float32_must(reference.Model(path), TOKENS, logits)


@pytest.mark.parametrize("isa", ["amx", "amx_emulated", "avx512", "avx_vnni", "avx2", "plain"])
@pytest.mark.parametrize("kind", tiny_gguf.TYPES, ids=lambda kind: kind.name)
def test_fast_rounds_where_the_simulation_rounds(tmp_path, kind, isa):
    path = tmp_path / "tiny.gguf"
    tiny_gguf.write(path, kind, layers=1, extras=True)
    _, (logits,) = run(path, [TOKENS], tmp_path / "logits", "fast", isa)
    model = reference.Model(path)
    predicted = model.logits(TOKENS, reference.Fast())
    size = rms(predicted - model.logits(TOKENS, reference.Full(np.float64)))
    difference = logits - predicted
    # Most rows round alike everywhere; in the others some number lay half-way between two.
    assert np.median(np.abs(difference).max(axis=-1)) < 1e-3 * size
    assert rms(difference) < 0.5 * size
