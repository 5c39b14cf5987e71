"""Writes the seeds of gguf_fuzz into seeds/gguf: small honest files made by the `gguf` package.

The seeds are committed; run this again only to change them.
"""

from pathlib import Path

import gguf
import numpy as np

SEEDS = Path(__file__).parent / "seeds" / "gguf"


def write(name, fill):
    writer = gguf.GGUFWriter(SEEDS / name, "llama")
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def every_kind_of_value(writer):
    writer.add_uint8("u8", 1)
    writer.add_int8("i8", -1)
    writer.add_uint16("u16", 2)
    writer.add_int16("i16", -2)
    writer.add_uint32("u32", 3)
    writer.add_int32("i32", -3)
    writer.add_uint64("u64", 4)
    writer.add_int64("i64", -4)
    writer.add_float32("f32", 0.5)
    writer.add_float64("f64", 0.25)
    writer.add_bool("b", True)
    writer.add_string("s", "text")
    writer.add_array("ints", [1, 2, 3])
    writer.add_array("floats", [1.0, 2.0])
    writer.add_array("bools", [True, False])
    writer.add_array("strings", ["a", "bc"])


def tensors(writer):
    writer.add_custom_alignment(64)
    writer.add_tensor("f32", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("f16", np.arange(4, dtype=np.float16))
    rows = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_1):
        writer.add_tensor(kind.name, gguf.quants.quantize(rows, kind), raw_dtype=kind)


if __name__ == "__main__":
    SEEDS.mkdir(parents=True, exist_ok=True)
    write("metadata.gguf", every_kind_of_value)
    write("tensors.gguf", tensors)
    write("empty.gguf", lambda writer: None)
