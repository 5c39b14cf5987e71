"""Token ids against the `tokenizers` package, whose pipelines are put together here by hand."""

import functools
import json
import random
import unicodedata

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre

from sample_texts import LANGUAGES, every_character, mixed_languages, random_unicode, real_texts, same_unicode
from text_tool import TextTool, model_metadata, vocabulary_request

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
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LING = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
SEED_CODER = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+"
              r"|\s+(?!\S)|\s+")
EXAONE_MOE = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
              r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+")
UPPER, LOWER = (rf"[\p{{{case}}}\p{{Lm}}\p{{Lo}}\p{{M}}&&[^\p{{Han}}]]" for case in (r"Lu}\p{Lt", "Ll"))
KIMI = (rf"[\p{{Han}}]+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
        rf"{CONTRACTION}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"
THREES = r"\d{1,3}(?=(?:\d{3})*\b)"


def byte_level(use_regex):
    return pre.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split_then_bytes(*patterns):
    return pre.Sequence([*(pre.Split(Regex(pattern), "isolated") for pattern in patterns), byte_level(False)])


DIGITS = pre.Sequence([pre.Digits(individual_digits=True), byte_level(True)])
WHOLE_WORDS = "words that are tokens are taken whole"
COMPOSED = "text is brought into normal form C"

# Name in the file → its pipeline, and what else its tokenizer.json says. One of each kind: what differs by name
# alone is in bridge/src/splitter.rs.
PIPELINES = {
    "gpt-2": (byte_level(True),),
    "olmo": (byte_level(True), COMPOSED),
    "starcoder": (DIGITS,),
    "command-r": (DIGITS, COMPOSED),
    "llama-bpe": (split_then_bytes(LLAMA3), WHOLE_WORDS),
    "glm4": (split_then_bytes(LLAMA3), WHOLE_WORDS),
    "dbrx": (split_then_bytes(LLAMA3),),
    "qwen2": (split_then_bytes(QWEN2), COMPOSED),
    "qwen35": (split_then_bytes(QWEN35), COMPOSED),
    "bailingmoe": (split_then_bytes(LING),),
    "seed-coder": (split_then_bytes(SEED_CODER),),
    "tekken": (split_then_bytes(TEKKEN), WHOLE_WORDS),
    "gpt-4o": (split_then_bytes(GPT4O),),
    "tiny_aya": (split_then_bytes(THREES, GPT4O), COMPOSED),
    "kimi-k2": (split_then_bytes(KIMI), WHOLE_WORDS),
    "exaone-moe": (split_then_bytes(EXAONE_MOE),),
    "viking": (split_then_bytes(BLOOM, r"\p{N}"),),
    "deepseek-llm": (split_then_bytes(
        r"[\r\n]", rf"\s?[{CASED}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", EAST, r"\p{N}+"),),
    "deepseek-coder": (split_then_bytes(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST, r"\p{N}"),),
    "deepseek-v3": (split_then_bytes(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK_V3),),
}


def reference(tokens, merges, types, name):
    pipeline, *rest = PIPELINES.get(name, (DIGITS,))
    tokenizer = Tokenizer(models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=[tuple(merge.split(" ")) for merge in merges], ignore_merges=WHOLE_WORDS in rest))
    if COMPOSED in rest:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pipeline
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, types) if k == 3])
    return tokenizer


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
    every = every_character()
    for start in range(0, len(every), 20_000):
        assert_same_ids(tool, reference, every[start:start + 20_000])
    # Before a letter, after one, and among blanks: not for each of the many Han and Hangul.
    some = every[:12_000] + every[12_000::17]
    assert_same_ids(tool, reference, "".join(f"a{c} {c}b{c}1" for c in some))


def test_ids_equal_the_reference_on_decomposed_text_and_numbers(pair):
    tool, reference = pair
    text = unicodedata.normalize("NFD", LANGUAGES)
    assert_same_ids(tool, reference, text)
    rng = random.Random(5)
    numbers = ("".join(rng.choice("0123456789٣१") for _ in range(rng.randrange(1, 14))) for _ in range(500))
    assert_same_ids(tool, reference, "".join(n + rng.choice([" ", "x", "_", ",", ".", "½", "e\u0301"]) for n in numbers))


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


def sentencepiece_reference(tokens, types, scores, prefix_space, strip=False):
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
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False, rstrip=strip) for t in ["<s>", "</s>"]])
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


def test_phi3s_control_tokens_take_the_white_space_behind_them(tool):
    tokens, types, scores = sentencepiece_vocabulary(random.Random(7))
    tool("vocabulary", **vocabulary_request("llama", tokens, types, scores=scores, unknown=0, bos=1, eos=2,
                                            add_space_prefix=True, strip_after_control=True))
    other = sentencepiece_reference(tokens, types, scores, prefix_space=True, strip=True)
    rng = random.Random(8)
    pieces = ["<s>", "</s>", " ", "\n", "\t", "\r\n", "\u3000", "\u00a0", "\u0085", "\u200b", "\x1c", "the", " cat ", "é"]
    for _ in range(300):
        assert_same_ids(tool, other, "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 20))))
