"""An independent reference for the forward pass, in numpy: no code shared with src/.

Weights come dequantised from the `gguf` package. The network is that of Llama 2 (arXiv 2307.09288)
with grouped-query attention; `Arithmetic` says how its operations round:

    Full(dtype)  everything in one floating-point type
    Fast         what --compute fast does: int8 activations, q and K, bf16 V and probabilities
    Noisy        float64, each operation disturbed at random as rounding in float32 would disturb it

docs/design/numerics.md derives what the three are used for.
"""

from dataclasses import dataclass, field

import gguf
import numpy as np

UNIT = 2.0**-24  # unit roundoff of float32


def to_bf16(x):
    """Rounded to the nearest bfloat16, ties to even, as float64."""
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32).astype(np.float64)


def quantise(x, group=32):
    """Rounded to 8-bit integers with one scale per row and group, as float64."""
    groups = x.astype(np.float32).reshape(*x.shape[:-1], -1, group)
    largest = np.abs(groups).max(axis=-1, keepdims=True)
    safe = np.where(largest == 0, np.float32(1), largest)
    integers = np.rint(groups * (np.float32(127) / safe))
    return (integers.astype(np.float64) * (largest / np.float32(127))).reshape(x.shape)


def rotate(x):
    """Each head [..., head_dim] times an orthogonal Hadamard matrix, as large as divides it."""
    dimensions = x.shape[-1]
    size = dimensions & -dimensions
    hadamard = np.array([[1.0]])
    while len(hadamard) < size:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    return (x.reshape(*x.shape[:-1], -1, size) @ hadamard / np.sqrt(size)).reshape(x.shape)


@dataclass
class Matrix:
    values: np.ndarray  # float32 [outputs, inputs]
    quantised: bool  # stored with fewer than 16 bits
    bias: np.ndarray | None = None


class Full:
    """Every operation in `dtype`; the other arithmetics change single operations."""

    def __init__(self, dtype):
        self.dtype = dtype

    def embed(self, matrix, tokens):
        return matrix.values[tokens].astype(self.dtype)

    def product(self, x, matrix):
        return x @ matrix.values.astype(self.dtype, copy=False).T

    def rounded(self, x, relative, scale=None):
        """x after an operation that rounds by `relative` units of |x|, or of `scale`."""
        return x

    def angles(self, angles):
        return angles

    def stored(self, x):
        """V and unnormalised probabilities as attention multiplies them."""
        return x

    def scored(self, x):
        """K and q, [..., head_dim], as attention multiplies them."""
        return x


class Fast(Full):
    def __init__(self):
        super().__init__(np.float64)

    def product(self, x, matrix):
        if matrix.quantised:
            return quantise(x) @ matrix.values.T.astype(np.float64)
        return to_bf16(x) @ to_bf16(matrix.values).T

    def embed(self, matrix, tokens):
        rows = matrix.values[tokens]
        return rows.astype(np.float64) if matrix.quantised else to_bf16(rows)

    def stored(self, x):
        return to_bf16(x)

    def scored(self, x):
        return quantise(rotate(x), group=x.shape[-1])


class Noisy(Full):
    def __init__(self, seed):
        super().__init__(np.float64)
        self.random = np.random.default_rng(seed)

    def normal(self, shape):
        return self.random.standard_normal(shape)

    def product(self, x, matrix):
        weights = matrix.values.astype(np.float64)
        length = weights.shape[1]
        deviation = UNIT * np.sqrt((length / 32 + 5) / 3) * np.sqrt((x**2) @ (weights**2).T)
        return x @ weights.T + deviation * self.normal(deviation.shape)

    def rounded(self, x, relative, scale=None):
        size = np.abs(x) if scale is None else scale
        return x + UNIT / np.sqrt(3) * np.sqrt(relative) * size * self.normal(x.shape)

    def angles(self, angles):
        # The frequency is rounded once: the same relative error at every position.
        return angles * (1 + UNIT / np.sqrt(3) * self.normal((1, angles.shape[1])))


@dataclass
class Sequence:
    """K and V of one sequence so far: per layer [positions, kv_heads, head_dim]."""

    keys: list = field(default_factory=list)
    values: list = field(default_factory=list)
    length: int = 0

    def append(self, layer, keys, values):
        if layer == len(self.keys):
            self.keys.append(keys)
            self.values.append(values)
        else:
            self.keys[layer] = np.concatenate([self.keys[layer], keys])
            self.values[layer] = np.concatenate([self.values[layer], values])
        return self.keys[layer], self.values[layer]


class Model:
    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in self.reader.tensors}
        key = lambda name, otherwise=None: self._key(f"llama.{name}", otherwise)
        assert self._key("general.architecture") == "llama"
        self.layers = key("block_count")
        self.heads = key("attention.head_count")
        self.kv_heads = key("attention.head_count_kv", self.heads)
        self.head_dim = key("attention.key_length", key("embedding_length") // self.heads)
        self.epsilon = key("attention.layer_norm_rms_epsilon")
        rotary = key("rope.dimension_count", self.head_dim)
        base = key("rope.freq_base", 10000.0)
        self.frequencies = base ** (-np.arange(0, rotary, 2, dtype=np.float64) / rotary)
        if key("rope.scaling.type") == "linear":
            self.frequencies /= key("rope.scaling.factor")
        if "rope_freqs.weight" in self.tensors:
            self.frequencies /= self._vector("rope_freqs.weight")
        self.embedding = self._matrix("token_embd")
        tied = "output.weight" not in self.tensors
        self.output = self.embedding if tied else self._matrix("output")
        self.output_norm = self._vector("output_norm.weight")
        names = "attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down".split()
        self.blocks = [
            {name: self._matrix(f"blk.{i}.{name}") for name in names}
            | {name: self._vector(f"blk.{i}.{name}.weight") for name in ("attn_norm", "ffn_norm")}
            for i in range(self.layers)
        ]

    def _key(self, name, otherwise=None):
        found = self.reader.get_field(name)
        return otherwise if found is None else found.contents()

    def _values(self, name):
        tensor = self.tensors[name]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        return values.reshape([int(n) for n in reversed(tensor.shape)])

    def _vector(self, name):
        return self._values(name).astype(np.float64)

    def _matrix(self, name):
        kind = self.tensors[f"{name}.weight"].tensor_type.name
        bias = f"{name}.bias"
        return Matrix(
            self._values(f"{name}.weight"),
            kind not in ("F32", "F16", "BF16"),
            self._vector(bias) if bias in self.tensors else None,
        )

    # -- The forward pass ---------------------------------------------------------------------

    def forward(self, batch, arithmetic, logits_of_last_only=False):
        """batch: (Sequence, new token ids) pairs; returns the logits of all new rows in order."""
        tokens = np.concatenate([np.asarray(ids) for _, ids in batch])
        positions = np.concatenate([s.length + np.arange(len(ids)) for s, ids in batch])
        angles = arithmetic.angles(positions[:, None] * self.frequencies[None, :])
        turn = np.cos(angles).astype(arithmetic.dtype), np.sin(angles).astype(arithmetic.dtype)
        x = arithmetic.embed(self.embedding, tokens)
        for layer, block in enumerate(self.blocks):
            attended = self._attention_block(layer, block, x, turn, batch, arithmetic)
            x = arithmetic.rounded(x + attended, 1)
            x = arithmetic.rounded(x + self._feed_forward(block, x, arithmetic), 1)
        for sequence, ids in batch:
            sequence.length += len(ids)
        if logits_of_last_only:
            x = x[np.cumsum([len(ids) for _, ids in batch]) - 1]
        return arithmetic.product(self._norm(x, self.output_norm, arithmetic), self.output)

    def _norm(self, x, weight, arithmetic):
        mean = np.mean(x * x, axis=-1, keepdims=True)
        scaled = x / np.sqrt(mean + arithmetic.dtype(self.epsilon))
        return arithmetic.rounded(scaled * weight.astype(arithmetic.dtype), 4)

    def _linear(self, x, matrix, arithmetic):
        y = arithmetic.product(x, matrix)
        if matrix.bias is None:
            return y
        return arithmetic.rounded(y + matrix.bias.astype(arithmetic.dtype), 1)

    def _rotate(self, x, turn, arithmetic):
        """Turns the pairs (2i, 2i+1) of x [rows, heads, head_dim]."""
        cos, sin = (t[:, None, :] for t in turn)
        rotary = 2 * cos.shape[-1]
        even, odd = x[..., 0:rotary:2], x[..., 1:rotary:2]
        size = np.hypot(even, odd)
        out = x.copy()
        out[..., 0:rotary:2] = arithmetic.rounded(even * cos - odd * sin, 3, size)
        out[..., 1:rotary:2] = arithmetic.rounded(even * sin + odd * cos, 3, size)
        return out

    def _attention_block(self, layer, block, x, turn, batch, arithmetic):
        normed = self._norm(x, block["attn_norm"], arithmetic)
        q, k, v = (
            self._linear(normed, block[f"attn_{name}"], arithmetic).reshape(
                len(x), heads, self.head_dim
            )
            for name, heads in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads))
        )
        q = arithmetic.scored(self._rotate(q, turn, arithmetic))
        k = arithmetic.scored(self._rotate(k, turn, arithmetic))
        v = arithmetic.stored(v)
        out = np.empty_like(q)
        first = 0
        for sequence, ids in batch:
            rows = slice(first, first + len(ids))
            keys, values = sequence.append(layer, k[rows], v[rows])
            out[rows] = self._attend(q[rows], keys, values, sequence.length, arithmetic)
            first += len(ids)
        return self._linear(out.reshape(len(x), -1), block["attn_output"], arithmetic)

    def _attend(self, q, keys, values, start, arithmetic):
        """q [rows, heads, head_dim] at positions from `start`, over all keys up to its own."""
        rows, group = len(q), self.heads // self.kv_heads
        grouped = q.reshape(rows, self.kv_heads, group, self.head_dim).transpose(1, 2, 0, 3)
        scale = arithmetic.dtype(1 / np.sqrt(self.head_dim))
        scores = scale * (grouped @ keys.transpose(1, 2, 0)[:, None])  # [kv, group, rows, keys]
        # A dot product of head_dim terms; its error grows with the terms, which the score bounds.
        scores = arithmetic.rounded(scores, self.head_dim / 2, np.abs(scores).max(initial=0))
        hidden = np.arange(len(keys))[None, :] > start + np.arange(rows)[:, None]
        scores = np.where(hidden, -np.inf, scores)
        raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
        raised = arithmetic.stored(arithmetic.rounded(raised, 6))
        out = raised @ values.transpose(1, 0, 2)[:, None]
        size = raised @ np.abs(values).transpose(1, 0, 2)[:, None]
        out = arithmetic.rounded(out, len(keys) / 2 + 4, size) / raised.sum(axis=-1, keepdims=True)
        return out.transpose(2, 0, 1, 3).reshape(q.shape).astype(arithmetic.dtype)

    def _feed_forward(self, block, x, arithmetic):
        normed = self._norm(x, block["ffn_norm"], arithmetic)
        gate = self._linear(normed, block["ffn_gate"], arithmetic)
        up = self._linear(normed, block["ffn_up"], arithmetic)
        inner = arithmetic.rounded(gate / (1 + np.exp(-gate)) * up, 8)
        return self._linear(inner, block["ffn_down"], arithmetic)

    # -- What tests ask -------------------------------------------------------------------------

    def logits(self, tokens, arithmetic):
        """[positions, vocabulary] of one sequence."""
        return self.forward([(Sequence(), tokens)], arithmetic)

    def continue_greedily(self, prompts, steps, arithmetic):
        """The `steps` likeliest next tokens of each prompt, and the logits they were taken from
        [prompts, steps, vocabulary]."""
        sequences = [Sequence() for _ in prompts]
        logits = np.stack(
            [
                self.forward([(sequence, prompt)], arithmetic, logits_of_last_only=True)[0]
                for sequence, prompt in zip(sequences, prompts)
            ]
        )
        seen, chosen = [logits], [logits.argmax(axis=-1)]
        for _ in range(steps - 1):
            batch = [(s, [token]) for s, token in zip(sequences, chosen[-1])]
            seen.append(self.forward(batch, arithmetic))
            chosen.append(seen[-1].argmax(axis=-1))
        return np.stack(chosen, axis=1), np.stack(seen, axis=1)
