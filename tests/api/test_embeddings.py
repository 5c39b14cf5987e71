"""Embeddings of the default model: whatever the company, the order and the cache, the same bits."""

import base64
import json
import math
import struct
import threading

import pytest

EMBEDDINGS = "/v1/embeddings"
TEXTS = ["A short text.", "Another text, that is somewhat longer than the first. " * 8, "x", "Ünïcödé 日本 🙂 " * 30]


def embed(server, texts, **options):
    vectors = [entry["embedding"] for entry in server.post(EMBEDDINGS, {"input": texts, **options})["data"]]
    assert all(len(vector) == 576 for vector in vectors if isinstance(vector, list))
    return vectors


def test_the_vendors_client_reads_it(server):
    reply = server.openai().embeddings.create(model="m", input=TEXTS)
    assert [entry.index for entry in reply.data] == [0, 1, 2, 3]
    assert reply.usage.prompt_tokens == reply.usage.total_tokens == sum(len(server.tokens(text)) for text in TEXTS)
    for entry in reply.data:
        assert len(entry.embedding) == 576
        assert math.isclose(sum(value * value for value in entry.embedding), 1, rel_tol=1e-5)
    one = server.openai().embeddings.create(model="m", input=TEXTS[0])
    assert one.data[0].embedding == reply.data[0].embedding


def test_both_encodings_have_the_same_bits(server):
    [floats] = embed(server, TEXTS[1])
    [coded] = embed(server, TEXTS[1], encoding_format="base64")
    bits = struct.unpack("<576f", base64.b64decode(coded))
    assert [struct.unpack("<f", struct.pack("<f", value))[0] for value in floats] == list(bits)


def test_texts_tokens_and_lists_of_them_are_the_same(server):
    tokens = [server.tokens(text) for text in TEXTS]
    assert embed(server, TEXTS) == embed(server, tokens) == [embed(server, ids)[0] for ids in tokens]


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_alone_in_a_batch_beside_streams_and_read_from_the_cache(server, pooling):
    alone = [embed(server, text, pooling=pooling, cache_prompt=False)[0] for text in TEXTS]
    assert embed(server, TEXTS, pooling=pooling, cache_prompt=False) == alone
    assert embed(server, TEXTS[::-1], pooling=pooling, cache_prompt=False) == alone[::-1]

    def stream():
        server.post("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 150, "ignore_eos": True})

    others = [threading.Thread(target=stream) for _ in range(3)]
    for other in others:
        other.start()
    assert embed(server, TEXTS, pooling=pooling, cache_prompt=False) == alone
    for other in others:
        other.join()
    # Computed with what is cached, then remembered whole.
    server.post("/v1/completions", {"prompt": TEXTS[1] + TEXTS[1], "max_tokens": 0})
    first = server.post(EMBEDDINGS, {"input": TEXTS, "pooling": pooling})
    again = server.post(EMBEDDINGS, {"input": TEXTS, "pooling": pooling})
    assert [entry["embedding"] for entry in first["data"]] == alone
    assert again["data"] == first["data"]
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == again["usage"]["prompt_tokens"]


def test_chunks_change_nothing(server, start):
    long = "A text of many chunks, each of which is computed by itself. " * 60
    small = start("--prefill-chunk", "17")
    for pooling in ("mean", "last"):
        assert embed(small, long, pooling=pooling) == embed(server, long, pooling=pooling)


def test_like_texts_are_near(server):
    cat, kitten, law = embed(server, ["The cat sleeps on the sofa.", "A kitten is sleeping on the couch.",
                                      "Article 5 of the treaty governs tariffs."])

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b))

    assert cosine(cat, kitten) > cosine(cat, law)


def test_bad_input_is_said(server):
    def fault(**body):
        status, _, reply = server.ask("POST", EMBEDDINGS, body)
        assert status == 400, reply
        return json.loads(reply)["error"]["param"]

    assert fault() == "input"
    assert fault(input={}) == "input"
    assert fault(input=[["a"]]) == "input"
    assert fault(input="a", encoding_format="int8") == "encoding_format"
    assert fault(input="a", pooling="max") == "pooling"
    assert fault(input="a", dimensions=64) == "dimensions"
    assert fault(input=["a"] * 2049) == "input"
    status, _, reply = server.ask("POST", EMBEDDINGS, {"input": "word " * 9000})
    assert status == 400 and json.loads(reply)["error"]["code"] == "context_length_exceeded"


def test_many_at_once(server):
    texts = [f"Text number {number}." for number in range(300)]
    all_of_them = embed(server, texts)
    assert len(all_of_them) == 300
    assert all_of_them[17] == embed(server, texts[17])[0]
