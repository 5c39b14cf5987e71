"""Faulty bytes against Python's errors="replace"."""

import random

import pytest

from text_tool import TextTool

TEXT = "aé中😀\ufffd🏴󠁧󠁢󠁿".encode()


@pytest.fixture(scope="module")
def tool():
    started = TextTool()
    yield started
    started.close()


def detokenize(tool, data, rng):
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(8)))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
    return b"".join(bytes.fromhex(part) for part in tool("detokenize", chunks=[c.hex() for c in chunks]))


@pytest.mark.parametrize("kind", ["any bytes", "high bytes", "broken text"])
def test_faulty_bytes_are_replaced_as_python_replaces_them(tool, kind):
    rng = random.Random(kind)
    for _ in range(2_000):
        size = rng.randrange(20)
        if kind == "any bytes":
            data = rng.randbytes(size)
        elif kind == "high bytes":
            data = bytes(rng.choice([0x80, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF1, 0xF4]) for _ in range(size))
        else:
            data = bytearray(TEXT)
            for _ in range(rng.randrange(4)):
                del data[rng.randrange(len(data))]
            data = bytes(data[:rng.randrange(len(data) + 1)])
        assert detokenize(tool, data, rng).decode() == data.decode("utf-8", errors="replace"), data
