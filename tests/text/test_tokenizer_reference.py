"""Token ids against the `tokenizers` package, whose pipelines are put together here by hand."""

import functools
import glob
import json
import os
import pathlib
import random
import unicodedata

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre

from text_tool import ROOT, TextTool, model_metadata, vocabulary_request

LANGUAGES = (pathlib.Path(__file__).parent / "data" / "languages.txt").read_text()

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTION +
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTION +
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# DeepSeek LLM's list of letters that have a case, as code points.
CASED = """
    41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A 38C
    38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B
    1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4
    1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113
    2115 2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183 2184 2C00-2C7B
    2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06
    FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF
    1E900-1E943
"""
CASED = "".join("-".join(chr(int(end, 16)) for end in span.split("-")) for span in CASED.split())
EAST = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
DEEPSEEK_V3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
               r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(use_regex):
    return pre.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split_then_bytes(*patterns):
    return pre.Sequence([*(pre.Split(Regex(pattern), "isolated") for pattern in patterns), byte_level(False)])


# Name in the file → its pipeline, and whether a word that is a token is taken whole.
PIPELINES = {
    "gpt-2": (byte_level(True), False),
    "smollm": (pre.Sequence([pre.Digits(individual_digits=True), byte_level(True)]), False),
    "starcoder": (pre.Sequence([pre.Digits(individual_digits=True), byte_level(True)]), False),
    "llama-bpe": (split_then_bytes(LLAMA3), True),
    "qwen2": (split_then_bytes(QWEN2), False),
    "tekken": (split_then_bytes(TEKKEN), True),
    "gpt-4o": (split_then_bytes(GPT4O), False),
    "deepseek-llm": (split_then_bytes(
        r"[\r\n]", rf"\s?[{CASED}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", EAST, r"\p{N}+"), False),
    "deepseek-coder": (split_then_bytes(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST, r"\p{N}"), False),
    "deepseek-v3": (split_then_bytes(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK_V3), False),
}


def reference(tokens, merges, types, name):
    pipeline, ignore_merges = PIPELINES[name]
    tokenizer = Tokenizer(models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=[tuple(merge.split(" ")) for merge in merges], ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pipeline
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, types) if k == 3])
    return tokenizer


def read_all(patterns, limit):
    """The beginnings of the files that match, at most limit characters in all."""
    parts, size = [], 0
    for pattern in patterns:
        for path in filter(os.path.isfile, sorted(glob.glob(pattern, recursive=True))):
            if size >= limit:
                return parts
            parts.append(pathlib.Path(path).read_bytes().decode(errors="ignore")[:60_000])
            size += len(parts[-1])
    return parts


@functools.cache
def real_texts():
    """Real text of this machine: code, English, and translations in many scripts."""
    library = pathlib.Path(json.__file__).parents[1]
    shared = ROOT.parent / "shared" / "data"
    return [
        *read_all([f"{library}/*.py", f"{library}/encodings/*.py"], 500_000),
        *read_all(["/usr/include/*.h", "/usr/include/linux/*.h"], 300_000),
        *read_all(["/usr/share/common-licenses/*", f"{shared}/mt_bench/*", f"{shared}/tau2/**/*.md"], 400_000),
        *read_all(["/usr/share/locale/zh*/LC_MESSAGES/*.mo", "/usr/share/locale/ja/LC_MESSAGES/*.mo",
                   "/usr/share/locale/ar/LC_MESSAGES/*.mo", "/usr/share/vim/vim*/lang/zh_TW.UTF-8/**/*.mo",
                   "/usr/share/vim/vim*/lang/[jkru]*.UTF-8/**/*.mo"], 300_000),
    ]


def mixed_languages(rng, size):
    """The lines of data/languages.txt, cut and joined anew, with digits, blanks and line breaks."""
    lines, parts, length = LANGUAGES.splitlines(), [], 0
    while length < size:
        line = rng.choice(lines)
        start = rng.randrange(len(line))
        parts.append(line[start:start + rng.randrange(1, 120)])
        parts.append(rng.choice(["", " ", "  ", "\n", "\n\n", "\r\n", "\t", " \n ", "7", "2024", ".", "'s"]))
        length += len(parts[-1]) + len(parts[-2])
    return "".join(parts)


def random_unicode(rng, size):
    """Every plane, control characters and white space of all kinds; no surrogates."""
    ranges = [(0, 0x20), (0x20, 0x7F), (0x80, 0x300), (0x300, 0x3000), (0x2000, 0x2070), (0x3000, 0xD800),
              (0xE000, 0x10000), (0x10000, 0x20000), (0x1F300, 0x1FB00), (0x20000, 0x110000)]
    return "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(size))


def same_unicode(text):
    """Characters younger than Python's tables may be classed differently by the two regex engines."""
    return "".join(c for c in text if unicodedata.category(c) != "Cn")


@pytest.fixture(scope="module")
def metadata():
    return model_metadata()


@pytest.fixture(scope="module")
def model_tokens(metadata):
    get = lambda key: metadata["tokenizer.ggml." + key]
    return get("tokens"), get("merges"), [int(t) for t in get("token_type")]


@pytest.fixture(scope="module")
def tool():
    started = TextTool()
    yield started
    started.close()


@functools.cache
def trained_tokens():
    """A vocabulary whose merges cross words, digits, blanks and lines, so that each cut of a pre-tokenizer
    shows; and some words that no merge makes, which only whole-word lookup finds."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = byte_level(False)
    control = ["<|im_start|>", "<|im_end|>", "<repo_name>"]
    trainer = trainers.BpeTrainer(vocab_size=3_000, special_tokens=control, show_progress=False,
                                  initial_alphabet=pre.ByteLevel.alphabet())
    numbers = " ".join(str(n * n) for n in range(2_000)) + "".join(f"{n:,}\n\n  x\t= {n}\r\n" for n in range(900))
    text = numbers + mixed_languages(random.Random(1), 60_000) + "".join(real_texts()[:2])
    trained.train_from_iterator([text[i:i + 200] for i in range(0, len(text), 200)], trainer)
    model = json.loads(trained.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    merges = [" ".join(pair) for pair in model["merges"]]
    words = {word for word, _ in byte_level(True).pre_tokenize_str(text[-50_000:])}
    tokens += sorted(words - set(tokens))
    return tokens, merges, [3] * len(control) + [1] * (len(tokens) - len(control))


@pytest.fixture(scope="module", params=["the default model", *PIPELINES])
def pair(request, tool):
    """Ours and the reference: the default model, then each pre-tokenizer over the trained vocabulary."""
    if request.param == "the default model":
        name, (tokens, merges, types) = "smollm", request.getfixturevalue("model_tokens")
    else:
        name, (tokens, merges, types) = request.param, trained_tokens()
    tool("vocabulary", **vocabulary_request("gpt2", tokens, types, pre=name, merges=merges))
    return tool, reference(tokens, merges, types, name)


def assert_same_ids(tool, reference, text):
    ours = tool("encode", text=text, parse_special=True)
    theirs = reference.encode(text).ids
    if ours == theirs:
        return
    first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    window = slice(max(0, first - 5), first + 5)
    context = reference.decode(theirs[window], skip_special_tokens=False)
    pytest.fail(f"ids differ from {first} on, near {context!r}: {ours[window]} instead of {theirs[window]}")


def test_ids_equal_the_reference_on_real_text(pair, request):
    tool, reference = pair
    texts = real_texts()
    if "the default model" in request.node.name:
        assert sum(len(text.encode()) for text in texts) > 1_000_000
    else:
        texts = texts[::5]  # the reference is slow
    for text in texts:
        assert_same_ids(tool, reference, same_unicode(text))


def test_ids_equal_the_reference_on_mixed_languages(pair):
    tool, reference = pair
    assert_same_ids(tool, reference, LANGUAGES)
    for seed in range(20):
        assert_same_ids(tool, reference, mixed_languages(random.Random(seed), 10_000))


def test_ids_equal_the_reference_on_random_unicode(pair):
    tool, reference = pair
    for seed in range(20):
        assert_same_ids(tool, reference, same_unicode(random_unicode(random.Random(seed), 5_000)))


def test_ids_equal_the_reference_for_every_character(pair):
    tool, reference = pair
    every = same_unicode("".join(chr(c) for c in range(0xE0200) if not 0xD800 <= c < 0xE000))
    for start in range(0, len(every), 20_000):
        assert_same_ids(tool, reference, every[start:start + 20_000])
    # Before a letter, after one, and among blanks: not for each of the many Han and Hangul.
    some = every[:12_000] + every[12_000::17]
    assert_same_ids(tool, reference, "".join(f"a{c} {c}b{c}1" for c in some))


def test_control_tokens_are_parsed_where_the_reference_parses_them(pair):
    tool, reference = pair
    rng = random.Random(4)
    pieces = ["<|im_start|>", "<|im_end|>", "<|im_", "<repo_name>", "<", "<|", "|>", "end|>", "user\n", " x ", "\n\n"]
    for _ in range(300):
        assert_same_ids(tool, reference, "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 20))))


def test_decoding_gives_the_text_back(tool, model_tokens):
    tokens, merges, types = model_tokens
    tool("vocabulary", **vocabulary_request("gpt2", tokens, types, pre="smollm", merges=merges))
    # Six control characters and the planes from U+40000 on have bytes that this vocabulary lacks.
    lacking = set("\x04\x06\x13\x14\x16\x1d")
    for seed in range(30):
        text = random_unicode(random.Random(seed), 2_000)
        text = "".join(c for c in text if c not in lacking and ord(c) < 0x40000)
        ids = tool("encode", text=text)
        assert bytes.fromhex(tool("decode", ids=ids)).decode() == text


def sentencepiece_vocabulary(rng):
    """A vocabulary such as SentencePiece's trainer makes: specials, bytes, pieces with falling scores."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    types = [2, 3, 3] + [6] * 256
    words = ["▁" + word for word in (LANGUAGES + " the cat sat on the mat 1234 ").split()]
    pieces = {}
    for word in words:
        for _ in range(6):
            start = rng.randrange(len(word))
            pieces[word[start:start + rng.randrange(1, 6)]] = True
    pieces.update(dict.fromkeys(["▁", "▁▁", "▁▁▁▁", "aa", "aaa", "ab", "ba", "aab", "\n\n"]))
    pieces.update(dict.fromkeys("abcdefghijklmnopqrstuvwxyz"))
    tokens += pieces
    types += [1] * len(pieces)
    scores = [0.0] * 259 + [-float(rng.randrange(len(pieces))) for _ in pieces]
    return tokens, types, scores


def sentencepiece_reference(tokens, types, scores, prefix_space):
    """As Hugging Face's conversion of SentencePiece models writes it."""
    vocab = {token: i for i, token in enumerate(tokens)}
    normal = {token for token, kind in zip(tokens, types) if kind == 1}
    merges = []
    for token in tokens:
        if token not in normal:
            continue
        local = [(token[:i], token[i:]) for i in range(1, len(token))]
        local = [(a, b) for a, b in local if a in normal and b in normal]
        merges += sorted(((a, b, scores[vocab[token]]) for a, b in local), key=lambda m: (vocab[m[0]], vocab[m[1]]))
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[(a, b) for a, b, _ in merges], unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Prepend("▁")] if prefix_space else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ["<s>", "</s>"]])
    return tokenizer


@pytest.mark.parametrize("prefix_space", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_sentencepiece_ids_equal_the_reference(tool, seed, prefix_space):
    tokens, types, scores = sentencepiece_vocabulary(random.Random(seed))
    tool("vocabulary", **vocabulary_request("llama", tokens, types, scores=scores, unknown=0, bos=1, eos=2,
                                            add_space_prefix=prefix_space))
    other = sentencepiece_reference(tokens, types, scores, prefix_space)
    rng = random.Random(seed)
    texts = [LANGUAGES, mixed_languages(rng, 20_000), random_unicode(rng, 3_000), "a" * 1000, "ab" * 500,
             " " * 77 + "x", "aabaaab" * 100, "<s>x</s> y<s>", "", " "]
    for text in texts:
        assert_same_ids(tool, other, text)
