"""Runs this project's forward pass on a case and says how far it is from what was recorded.

Bounds, for rms over the recorded rows:

exact  Two float32 implementations with different orders of summation stray from the truth by
       numbers of the same size, since every operation rounds alike; twice what transformers'
       float32 strays leaves room for longer sums (measured: 0.5 to 1.0 of it). What is computed
       otherwise than the family wants it is off by thousands of times that.
fast   Twice what the network makes of disturbances as large as the roundings of --compute fast
       (record.py, fast_disturbance): in the median row, and three times that over all rows but the
       worst tenth. A row in which a disturbance swaps experts is off by ten times the others; which
       rows these are is chance (measured: up to two of 26)."""

import os
import pathlib
import subprocess
import tempfile
from dataclasses import dataclass

import numpy as np

import family_gguf
import random_weights
from family_cases import CASES
from recording import Recording

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("REPRISE_DUMP_LOGITS", ROOT / "build/release/tests/model/dump_logits")
EXACT, FAST_MEDIAN, FAST = 2, 2, 3


class Refused(Exception):
    """The program does not take the file; its own sentence."""


def write_gguf(path, name, recording):
    case = CASES[name]
    parameters = [
        (tensor, random_weights.make(case, tensor, tuple(shape)))
        for tensor, shape in recording.shapes.items()
    ]
    family_gguf.write(path, case, recording.config, parameters)


def rms(x, axis=None):
    return np.sqrt(np.mean(np.square(x), axis=axis))


@dataclass
class Difference:
    """Of logits from the recorded truth, over the recorded rows."""

    rms: float
    median: float  # of the rows' rms
    most: float  # rms of all rows but the worst tenth
    wrong_tokens: int  # of the continuations; only exact ones are compared


def run(model, recording, compute, steps=0):
    """Logits of each prompt's rows [rows, vocabulary], and what follows it."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "logits"
        result = subprocess.run(
            [PROGRAM, model, compute, "auto", str(steps), output],
            input="\n".join(" ".join(map(str, prompt)) for prompt in recording.prompts),
            capture_output=True,
            text=True,
        )
        if result.returncode != 0:
            raise Refused(result.stderr.strip() or f"ended with {result.returncode}")
        lengths = [len(prompt) + steps for prompt in recording.prompts]
        logits = np.fromfile(output, np.float32).astype(np.float64).reshape(sum(lengths), -1)
    rows = zip(np.split(logits, np.cumsum(lengths)[:-1]), Recording.rows(recording.prompts))
    tokens = [[int(word) for word in line.split()] for line in result.stdout.splitlines()]
    return [part[chosen] for part, chosen in rows], tokens


def compare(model, recording, compute):
    steps = len(recording.continuations[0]) if compute == "exact" else 0
    logits, tokens = run(model, recording, compute, steps)
    differences = np.concatenate(logits) - np.concatenate(recording.logits)
    wrong = sum(
        ours != theirs
        for line, truth in zip(tokens, recording.continuations if steps else [])
        for ours, theirs in zip(line, truth)
    )
    rows = np.sort(rms(differences, axis=-1))
    most = rms(rows[: len(rows) - len(rows) // 10])
    return Difference(float(rms(differences)), float(np.median(rows)), float(most), wrong)


def exact_ratio(recording, difference):
    """1: at the bound."""
    return difference.rms / (EXACT * recording.float32_rms)


def fast_ratio(recording, difference):
    return max(
        difference.median / (FAST_MEDIAN * recording.fast_median),
        difference.most / (FAST * recording.fast_rms),
    )
