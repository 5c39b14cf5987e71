"""Writes small random `llama` models in every storage type, with the `gguf` package alone."""

import gguf
import numpy as np

Type = gguf.GGMLQuantizationType
TYPES = [
    Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0,
    Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.Q2_K, Type.Q3_K, Type.IQ1_S, Type.IQ1_M, Type.IQ2_XXS,
    Type.IQ2_XS, Type.IQ2_S, Type.IQ3_XXS, Type.IQ3_S, Type.IQ4_NL, Type.IQ4_XS, Type.MXFP4,
]  # fmt: skip
# What the package can only read: where a block's f16 factor lies, or those of its scales and minima.
# IQ1_M's lies in the upper nibbles of four words.
FACTORS = {
    Type.Q2_K: (80, 82), Type.Q3_K: (108,), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,),
    Type.IQ1_S: (0,), Type.IQ1_M: (), Type.IQ2_XXS: (0,), Type.IQ2_XS: (0,), Type.IQ2_S: (0,),
    Type.IQ3_XXS: (0,), Type.IQ3_S: (0,), Type.IQ4_NL: (0,), Type.IQ4_XS: (0,),
}  # fmt: skip
# The mean of the integers before the minimum is taken away.
MEANS = {Type.Q2_K: 1.5, Type.Q4_K: 7.5, Type.Q5_K: 15.5}
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 256, 512, 4, 2, 64, 320


def random_blocks(random, kind, rows, columns, deviation):
    """Random blocks of a type that the package can only read. Their elements have about the
    wanted deviation. The factors are powers of two: their products with the blocks' integer scales,
    which --compute fast rounds to f16, are then exact and hide no error of anything else."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)

    def put_factor(factor):
        half = np.array([factor], np.float16).view(np.uint8)
        if kind == Type.IQ1_M:
            nibbles = half.view(np.uint16) >> np.array([0, 4, 8, 12]) & 15
            blocks[:, 49::2] = blocks[:, 49::2] & 15 | nibbles << 4
            return
        at = FACTORS[kind][0]
        blocks[:, at:at + 2] = half
        if kind in MEANS:  # scales and minima are alike, so this centres the weights about 0
            at = FACTORS[kind][1]
            minimum = 2.0 ** np.round(np.log2(factor * MEANS[kind]))
            blocks[:, at:at + 2] = np.array([minimum], np.float16).view(np.uint8)

    put_factor(1.0)
    put_factor(2.0 ** np.round(np.log2(deviation / gguf.quants.dequantize(blocks, kind).std())))
    return blocks.reshape(rows, -1)


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
        if kind in FACTORS:
            data = random_blocks(random, kind, rows, columns, deviation)
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
