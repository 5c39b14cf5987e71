"""Writes dequantize_fixture.bin: blocks of random bytes of every weight type, and what the `gguf`
package makes of them. Run again only when a type is added:

    pip install gguf numpy && python tests/kernels/make_fixtures.py

Format, little-endian: for each type u32 ggml_type, u32 bytes, u32 elements, the bytes, the f32s.
"""

import pathlib
import struct

import gguf
import numpy

BLOCKS = 3

# Where the f16 factors of a block lie. Random bits there would be NaN or infinite now and then.
FACTORS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    # Later types at the end, so that the earlier ones' random bytes stay what they were.
    "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "IQ2_XXS": [0], "IQ2_XS": [0],
    "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0],
    "IQ1_M": [], "MXFP4": [], "Q8_K": [],
}  # fmt: skip


def put_other_factors(name, data):
    """Factors that are no f16 in one place: of IQ1_M, MXFP4 and Q8_K."""
    if name == "IQ1_M":  # an f16 in the upper nibbles of four words
        factors = numpy.array([0.01, -0.02, 3e-6], numpy.float16).view(numpy.uint16)
        words = data[:, 48:].copy().view(numpy.uint16) & 0x0FFF
        for i in range(4):
            words[:, i] |= (factors >> (4 * i) & 15) << 12
        data[:, 48:] = words.view(numpy.uint8)
    elif name == "MXFP4":
        data[:, 0] = 0, 121, 252
    elif name == "Q8_K":
        data[:, :4] = numpy.array([[0.02], [-1e-30], [1e30]], numpy.float32).view(numpy.uint8)


def dequantize(name, data, kind):
    if name != "Q8_K":
        return gguf.quants.dequantize(data, kind)
    blocks = data.reshape(BLOCKS, -1)  # f32 factor, int8[256]; the package does not know it
    return blocks[:, :4].copy().view(numpy.float32) * blocks[:, 4:260].view(numpy.int8)


def main():
    random = numpy.random.default_rng(20240917)
    out = bytearray()
    for name in ["F32", "F16", "BF16", *FACTORS]:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        if name in FACTORS:
            data = random.integers(0, 256, (BLOCKS, size), dtype=numpy.uint8)
            for at in FACTORS[name]:
                factors = (random.standard_normal(BLOCKS) * 0.02).astype(numpy.float16)
                factors[-1] = 3e-6  # a subnormal f16
                data[:, at:at + 2] = factors.view(numpy.uint8).reshape(BLOCKS, 2)
            put_other_factors(name, data)
            data = data.reshape(-1)
        else:
            values = random.standard_normal(64).astype(numpy.float32)
            if name == "F32":
                data = values.view(numpy.uint8)
            elif name == "F16":
                values[-1] = 3e-6
                data = values.astype(numpy.float16).view(numpy.uint8)
            else:
                data = (values.view(numpy.uint32) >> 16).astype(numpy.uint16).view(numpy.uint8)
        expected = dequantize(name, data, kind).astype(numpy.float32).reshape(-1)
        assert expected.size == data.size // size * elements
        out += struct.pack("<III", int(kind), data.size, expected.size)
        out += data.tobytes() + expected.tobytes()
    pathlib.Path(__file__).with_name("dequantize_fixture.bin").write_bytes(out)


if __name__ == "__main__":
    main()
