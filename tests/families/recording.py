"""What `transformers` computed for a case (record.py writes it), in a file of numpy's."""

import json
import pathlib
from dataclasses import asdict, dataclass, fields

import numpy as np

RECORDED = pathlib.Path(__file__).parent / "recorded"


@dataclass
class Recording:
    config: dict  # of transformers, with all that it fills in itself
    shapes: dict  # of each tensor of the checkpoint, by name
    prompts: list  # of token ids
    continuations: list  # the likeliest tokens after each prompt, in float64
    logits: list  # [rows, vocabulary] of each prompt, in float64, stored as float32
    float32_rms: float  # how far transformers' own float32 strays from them
    float32_largest: float
    fast_rms: float  # how far disturbances as large as those of --compute fast lead
    fast_median: float  # the same for the median row: experts that a disturbance swaps are rare
    margin: float  # between the two likeliest tokens, the least of all steps
    logits_rms: float

    @staticmethod
    def rows(prompts):
        """Which rows are kept: every eighth, and the last."""
        return [sorted({*range(7, len(prompt), 8), len(prompt) - 1}) for prompt in prompts]

    def save(self, name):
        rest = {key: value for key, value in asdict(self).items() if key != "logits"}
        np.savez_compressed(
            RECORDED / f"{name}.npz",
            logits=np.concatenate(self.logits).astype(np.float32),
            rest=np.frombuffer(json.dumps(rest).encode(), np.uint8),
        )

    @classmethod
    def load(cls, name):
        with np.load(RECORDED / f"{name}.npz") as file:
            rest = json.loads(file["rest"].tobytes())
            counts = [len(rows) for rows in cls.rows(rest["prompts"])]
            logits = np.split(file["logits"].astype(np.float64), np.cumsum(counts)[:-1])
        return cls(logits=logits, **rest)

    def agrees_with(self, other):
        """Up to what other versions of libraries and other processors change."""
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name == "logits":
                ours, theirs = np.concatenate(ours), np.concatenate(theirs)
                if np.abs(ours - theirs).max() > 1e-6 * np.abs(theirs).max():
                    return False
            elif field.name in ("shapes", "prompts", "continuations"):
                if json.dumps(ours) != json.dumps(theirs):
                    return False
        return True
