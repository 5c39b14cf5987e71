"""Records what `transformers` computes for each case: the truth of test_families.py.

    record.py [--check] [CASE…]

--check: compares with what is recorded instead of writing it. Needs requirements.txt beside it;
what it writes, recorded/CASE.npz, is all that the tests need.

Truth is the network in float64, all of it: `transformers` computes norms, rotary angles, routers
and softmax in float32 whatever the type of the model, so each request for float32 is answered with
float64 (Double)."""

import argparse
import contextlib
import json
import sys

import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from torch.overrides import TorchFunctionMode

import random_weights
from family_cases import CASES
from family_case import VOCABULARY
from recording import RECORDED, Recording

STEPS = 64
PROMPTS = (40, 64, 100)
SMALL = {torch.float32: torch.float64, torch.bfloat16: torch.float64, torch.float16: torch.float64}


class Double(TorchFunctionMode):
    """Whatever asks for a smaller floating-point type gets float64."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        larger = lambda x: SMALL.get(x, x) if isinstance(x, torch.dtype) else x
        kwargs = {key: larger(value) for key, value in (kwargs or {}).items()}
        return function(*map(larger, args), **kwargs)


def configuration(case):
    config = getattr(transformers, f"{case.model}Config")(**case.settings())
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    return config


class Network:
    """A case's network in `dtype`, its weights those of random_weights, or disturbed."""

    def __init__(self, case, dtype, disturbed_by=None):
        self.mode = Double() if dtype == torch.float64 else contextlib.nullcontext()
        torch.set_default_dtype(dtype)
        try:
            with self.mode:
                self.model = transformers.AutoModelForCausalLM.from_config(
                    configuration(case)
                ).eval()
        finally:
            torch.set_default_dtype(torch.float32)
        self.config = self.model.config
        tensors = self.tensors()
        self.shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            values = random_weights.make(case, name, tensor.shape).astype(np.float64)
            if disturbed_by is not None:
                values = disturbed_by(name, values)
            assert tensor.dtype == dtype, name
            tensor.data.copy_(torch.from_numpy(values))

    def tensors(self):
        """Parameters and buffers that a checkpoint holds, each once where tied."""
        seen, tensors = set(), {}
        for name, tensor in self.model.state_dict(keep_vars=True).items():
            if tensor.data_ptr() not in seen:
                seen.add(tensor.data_ptr())
                tensors[name] = tensor
        return tensors

    @torch.no_grad()
    def logits(self, tokens):
        with self.mode:
            ids = torch.tensor([tokens])
            return self.model(input_ids=ids, use_cache=False).logits[0].double().numpy()


def fast_disturbance(case, seed):
    """Each matrix as the roundings of --compute fast disturb its product (docs/design/numerics.md,
    the table of 'Fast'): bf16 of inputs and weights is off by 0.08 % each, evenly spread within a
    step; int8 of q and K, and of what experts stored in few bits are multiplied by, by a step of
    the largest of a group, 2.3 deviations, / 127 / sqrt(12)."""
    random = np.random.default_rng(seed)

    def disturb(name, values):
        if values.ndim < 2 or "conv" in name:
            return values
        makes_scores = ("q_proj", "k_proj", "qkv", "q_b_proj", "kv_a_proj", "kv_b_proj")
        coarse = any(part in name for part in makes_scores) or (
            random_weights.is_expert(name, values.shape) and case.expert_type != Type.F32
        )
        size = 0.0012 + (0.005 if coarse else 0)
        return values * (1 + size * random.standard_normal(values.shape))

    return disturb


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def median_row(differences):
    """The median over rows [rows, vocabulary] of a row's rms."""
    return float(np.median(np.sqrt(np.mean(differences**2, axis=-1))))


def continuations(network, prompts):
    """The STEPS likeliest tokens after each prompt, and the least margin of one over the next."""
    margin, all_tokens = np.inf, []
    for prompt in prompts:
        tokens = list(prompt)
        for _ in range(STEPS):
            last = network.logits(tokens)[-1]
            second, first = np.sort(last)[-2:]
            margin = min(margin, first - second)
            tokens.append(int(last.argmax()))
        all_tokens.append(tokens[len(prompt) :])
    return all_tokens, float(margin)


def record(case):
    truth, single = Network(case, torch.float64), Network(case, torch.float32)
    for seed in range(10):  # until no float32 can take another token for the likeliest
        random = np.random.default_rng(seed)
        prompts = [random.integers(3, VOCABULARY, length).tolist() for length in PROMPTS]
        exact = [truth.logits(prompt) for prompt in prompts]
        strays = np.concatenate([single.logits(p) - logits for p, logits in zip(prompts, exact)])
        largest = float(np.abs(strays).max())
        likeliest, margin = continuations(truth, prompts)
        if margin > 20 * largest:
            break
    else:
        sys.exit(f"{case.name}: no prompts whose likeliest tokens are clear")
    fast = []
    for seed in (1, 2):
        disturbed = Network(case, torch.float64, fast_disturbance(case, seed))
        fast += [np.concatenate([disturbed.logits(p) - e for p, e in zip(prompts, exact)])]
    config = truth.config.to_dict()
    config.setdefault("num_hidden_layers", truth.config.num_hidden_layers)
    return Recording(
        config=json.loads(json.dumps(config, default=str)),
        shapes=truth.shapes,
        prompts=prompts,
        continuations=likeliest,
        logits=[logits[rows] for logits, rows in zip(exact, Recording.rows(prompts))],
        float32_rms=rms(strays),
        float32_largest=largest,
        fast_rms=max(map(rms, fast)),
        fast_median=max(map(median_row, fast)),
        margin=margin,
        logits_rms=rms(np.concatenate(exact)),
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    failed = 0
    for name in arguments.cases or CASES:
        made = record(CASES[name])
        line = (
            f"{name:22} logits {made.logits_rms:8.4f}  float32 {made.float32_rms:.2e} (largest"
            f" {made.float32_largest:.1e})  fast {made.fast_rms / made.logits_rms:7.2%} (median"
            f" {made.fast_median / made.logits_rms:.2%})"
            f"  margin {made.margin:.1e}"
        )
        if arguments.check:
            if not made.agrees_with(Recording.load(name)):
                failed, line = failed + 1, f"{line}  DIFFERS from what is recorded"
        else:
            RECORDED.mkdir(exist_ok=True)
            made.save(name)
        print(line, flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
