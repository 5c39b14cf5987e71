"""Token ids of the families' own vocabularies against what each family itself encodes with."""

import random
import unicodedata

import pytest

from real_vocabularies import VOCABULARIES
from sample_texts import LANGUAGES, every_character, mixed_languages, random_unicode, real_texts, same_unicode
from text_tool import TextTool


@pytest.fixture(scope="module")
def tool():
    started = TextTool()
    yield started
    started.close()


@pytest.fixture(scope="module", params=VOCABULARIES)
def pair(request, tool):
    vocabulary, encode = VOCABULARIES[request.param]()
    tool("vocabulary", **vocabulary)
    # Of what is matched whole, some; SentencePiece finds no control tokens in text.
    matched = {4} if vocabulary["model"] == "llama" else {3, 4}
    whole = [text for text, kind in zip(vocabulary["tokens"], vocabulary["types"]) if kind in matched]
    return tool, encode, whole[:40] + whole[-20:]


def assert_same_ids(pair, text):
    tool, encode, _ = pair
    ours, theirs = tool("encode", text=text, parse_special=True), encode(text)
    if ours != theirs:
        first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
        near = bytes.fromhex(tool("decode", ids=theirs[max(0, first - 5):first + 5]))
        pytest.fail(f"ids differ from {first} on, near {near!r}: {ours[first:first + 5]}, not {theirs[first:first + 5]}")


def test_ids_are_the_familys_own_on_a_megabyte_of_real_text(pair):
    texts = real_texts()
    assert sum(len(text.encode()) for text in texts) > 1_000_000
    for text in texts:
        assert_same_ids(pair, same_unicode(text))


def test_ids_are_the_familys_own_on_mixed_languages(pair):
    assert_same_ids(pair, LANGUAGES)
    for seed in range(20):
        assert_same_ids(pair, mixed_languages(random.Random(seed), 10_000))


def test_ids_are_the_familys_own_for_decomposed_text(pair):
    text = unicodedata.normalize("NFD", LANGUAGES)
    assert_same_ids(pair, text)
    assert_same_ids(pair, "".join(text[i:i + 2] + "\u0301\u0323\u212b\u1100\u1161\u11a8" for i in range(0, 1_000, 2)))


def test_ids_are_the_familys_own_where_tokens_are_matched_whole(pair):
    rng = random.Random(4)
    pieces = [*pair[2], "<", "|", "user\n", " x ", "  ", "   ", "\n\n", "▁", "e\u0301", "7"]
    for _ in range(100):
        assert_same_ids(pair, "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 20))))


def test_ids_are_the_familys_own_on_random_unicode(pair):
    for seed in range(20):
        assert_same_ids(pair, same_unicode(random_unicode(random.Random(seed), 5_000)))


def test_ids_are_the_familys_own_for_every_character(pair):
    every = every_character()
    some = every[:12_000] + every[12_000::17]
    for text in (every, "".join(f"a{c} {c}b{c}1" for c in some)):
        for start in range(0, len(text), 20_000):
            assert_same_ids(pair, text[start:start + 20_000])
