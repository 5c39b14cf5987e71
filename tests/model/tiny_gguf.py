"""Writes small random `llama` models in every storage type, with the `gguf` package alone."""

import gguf
import numpy as np

Type = gguf.GGMLQuantizationType
TYPES = [
    Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0,
    Type.Q4_K, Type.Q5_K, Type.Q6_K,
]  # fmt: skip
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 256, 512, 4, 2, 64, 320


def k_blocks(random, kind, rows, columns, deviation):
    """Random blocks of a K type, which the package can read only. Their elements have about the
    wanted deviation. The factors d are powers of two: their products with the blocks' integer
    scales, which --compute fast rounds to f16, are then exact and hide no error of anything else."""
    count = rows * columns // 256
    fill = lambda size: random.integers(0, 256, (count, size), dtype=np.uint8)

    def power_of_two(value):
        half = np.float16(2.0 ** np.round(np.log2(value)))
        return np.full((count, 1), half).view(np.uint8)

    if kind == Type.Q6_K:
        parts = [fill(128 + 64 + 16), power_of_two(deviation / 18.5 / 74)]
    else:
        levels = 16 if kind == Type.Q4_K else 32
        d = deviation * 3.46 / levels / 32
        parts = [power_of_two(d), power_of_two(d * levels / 2)]
        parts += [fill(12 + 128 + (32 if kind == Type.Q5_K else 0))]
    return np.concatenate(parts, axis=1).reshape(rows, -1)


def write(path, kind, layers, extras=False, seed=1):
    """extras: biases, an output matrix of its own, rotary factors, partial rotation."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_dimension_count(HEAD_DIM // 2 if extras else HEAD_DIM)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    if extras:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(2.0)

    def matrix(name, rows, columns, deviation):
        if kind in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
            data = k_blocks(random, kind, rows, columns, deviation)
        else:
            values = random.normal(0, deviation, (rows, columns)).astype(np.float32)
            data = gguf.quants.quantize(values, kind)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)

    def vector(name, size, lowest, highest):
        writer.add_tensor(name, random.uniform(lowest, highest, size).astype(np.float32))

    def linear(name, rows, columns, gain=1.0):
        matrix(name, rows, columns, gain / np.sqrt(columns))
        if extras:
            vector(f"{name}.bias", rows, -0.3, 0.3)

    matrix("token_embd", VOCABULARY, HIDDEN, 0.3)
    for i in range(layers):
        vector(f"blk.{i}.attn_norm.weight", HIDDEN, 0.5, 1.5)
        linear(f"blk.{i}.attn_q", HEADS * HEAD_DIM, HIDDEN, 2)
        linear(f"blk.{i}.attn_k", KV_HEADS * HEAD_DIM, HIDDEN, 2)
        linear(f"blk.{i}.attn_v", KV_HEADS * HEAD_DIM, HIDDEN)
        linear(f"blk.{i}.attn_output", HIDDEN, HEADS * HEAD_DIM)
        vector(f"blk.{i}.ffn_norm.weight", HIDDEN, 0.5, 1.5)
        linear(f"blk.{i}.ffn_gate", FEED_FORWARD, HIDDEN)
        linear(f"blk.{i}.ffn_up", FEED_FORWARD, HIDDEN)
        linear(f"blk.{i}.ffn_down", HIDDEN, FEED_FORWARD)
    vector("output_norm.weight", HIDDEN, 0.5, 1.5)
    if extras:
        matrix("output", VOCABULARY, HIDDEN, 0.3)
        vector("rope_freqs.weight", HEAD_DIM // 4, 1, 8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
