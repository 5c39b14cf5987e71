"""Real text for prompts: policies, short documents, two-turn questions, an agent's trajectory.

Read from ../shared/data beside the project (or $REPRISE_DATA) where that is, else from the excerpts
in bench/excerpts; bench/excerpts/README.md says whose they are. Every made document begins with a
line of its own, so that no cache has seen it, and is the same for the same name.
"""
import dataclasses
import json
import os
import pathlib
import random
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("REPRISE_DATA", ROOT.parent / "shared/data"))
EXCERPTS = ROOT / "bench/excerpts"
CHARACTERS_A_TOKEN = 4.25  # of this text, with the default model's tokenizer


@dataclasses.dataclass(frozen=True)
class Document:
    id: str
    title: str
    content: str

    def text(self):
        return f"# {self.title}\n\n{self.content}"


class Corpus:
    def __init__(self, folder=None):
        self.folder = folder or (SHARED if (SHARED / "tau2").is_dir() else EXCERPTS)
        tau2 = self.folder / "tau2"
        self.policies = {p.stem: p.read_text() for p in sorted(tau2.glob("policies/*.md"))}
        read = [json.loads(p.read_text()) for p in sorted(tau2.glob("documents/*.json"))]
        self.documents = [Document(d["id"], d["title"], d["content"]) for d in read]
        lines = (self.folder / "mt_bench/question.jsonl").read_text().splitlines()
        self.chats = [json.loads(line)["turns"] for line in lines]
        agent = json.loads((self.folder / "swe_agent/marshmallow_1867.json").read_text())
        self.trajectory = agent["history"]

    def described(self):
        """A sentence for a report."""
        where = "the excerpts in bench/excerpts" if self.folder == EXCERPTS else "../shared/data"
        return (f"Text: {where}: {len(self.policies)} policies and {len(self.documents)} documents "
                f"of tau2-bench, {len(self.chats)} conversations of MT-bench, one SWE-agent "
                "trajectory.")

    def document(self, tokens, name, order=None):
        """About `tokens` tokens of documents behind a line that says `name`; `order` (default:
        `name`) decides which documents, and in which order."""
        size = int(tokens * CHARACTERS_A_TOKEN)
        order = random.Random(order or name).sample(self.documents, len(self.documents))
        text = f"Collection {name}."
        for document in order:
            if len(text) >= size:
                break
            text += "\n\n" + document.text()
        return text[:size]

    def about(self, topic, count):
        """The `count` documents that share most words with `topic`, each word weighted by
        rarity."""
        words = set(_words(topic))
        holders = {w: sum(w in _words(d.text()) for d in self.documents) for w in words}

        def score(document):
            own = _words(document.text())
            return sum(own.count(w) / len(own) / holders[w] for w in words if holders[w])

        return sorted(self.documents, key=score, reverse=True)[:count]


def _words(text):
    return re.findall(r"[a-z]{3,}", text.lower())
