"""A case: one small model of a family, as `transformers` configures it and as GGUF holds it.

A case says what the converter of llama.cpp would be told by config.json, and what it does to this
family beyond renaming tensors. The groups' modules (dense_families.py, …) are lists of cases."""

from dataclasses import dataclass, field
from typing import Callable

import gguf

VOCABULARY = 256

# Sizes of all cases, where a case does not say otherwise. Inputs of matrices are multiples of 32.
SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)


@dataclass(frozen=True)
class Case:
    name: str
    architecture: str  # general.architecture
    model: str  # of transformers: MODELConfig, MODELForCausalLM
    config: dict = field(default_factory=dict)  # beyond SIZES; None takes a size away
    # (writer, config): the keys that every family has, and those of this one (family_gguf.py).
    keys: Callable | None = None
    # (name, values, config): what becomes of a tensor of the checkpoint: pairs of names and values,
    # the names still the checkpoint's. None: itself.
    tensors: Callable | None = None
    extra_tensors: Callable | None = None  # (config): pairs of GGUF names and values
    norm_offset: float = 0.0  # what the network adds to the weight of a norm
    expert_type: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32  # how experts are stored
    shows: str = ""  # what is special about the case, for the report

    def settings(self):
        taken_away = {key for key in SIZES if self.config.get(key, "") is None}
        return {k: v for k, v in {**SIZES, **self.config}.items() if k not in taken_away}
