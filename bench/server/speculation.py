#!/usr/bin/env python3
"""What guessing a reply's next tokens buys: decoding with `--speculate on` beside `off`, in one run.

usage: bench/server/speculation.py [--repeats 5] [--quick] [--model FILE] [--write docs/measurements.md]

Two servers of the same build, of which one is asked at a time, in turns; every request begins with an empty cache but
for what its workload says. Each reply must be the same text from both, in every round, else this ends with 1.
"""
import argparse
import contextlib
import dataclasses
import difflib
import json
import pathlib
import random
import re
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import corpus
import page
import programs
from stream import Server

LIKE = 0.9  # of 1: how like its text a reply must be to be its rewriting
CODE_CHARACTERS = 900
REPLY_TOKENS = 256


@dataclasses.dataclass(frozen=True)
class Case:
    """A request, greedy unless its options say otherwise. `prediction` is sent only where a way of asking wants it."""

    messages: list
    max_tokens: int = REPLY_TOKENS
    options: dict = dataclasses.field(default_factory=dict)
    prediction: str = ""


@dataclasses.dataclass(frozen=True)
class Way:
    """How a case is asked: of which server, and with what."""

    speculate: str  # on or off
    predicts: bool = False
    again: bool = False  # the reply is in the cache


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    cases: list
    ways: dict  # of asking, by their names, beside `off`
    targets: dict  # the least ratio, by the same names
    off: Way = Way("off")


# -- Workloads --------------------------------------------------------------------------------------


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def code_texts(trajectory):
    """Files that the agent looked at, without their lines' numbers, in pieces."""
    for message in trajectory:
        if not message["content"].startswith("[File:"):
            continue
        piece = ""
        for line in re.findall(r"^\d+:(.*)$", message["content"].replace("\r", ""), re.M):
            piece += line + "\n"
            if len(piece) > CODE_CHARACTERS:
                yield "a source file", piece.strip("\n")
                piece = ""


def candidates(texts):
    """Texts of a few hundred tokens in a fixed order: two documents, then a piece of code, while there is one."""
    documents = [(d.title, d.content) for d in texts.documents if 600 < len(d.content) < 1500]
    random.Random(18).shuffle(documents)
    code = list(code_texts(texts.trajectory))
    while documents or code:
        yield from documents[:2]
        yield from code[:1]
        del documents[:2], code[:1]


def tokens_of(server, text):
    return json.load(server.post("/tokenize", {"content": text}))["tokens"]


def word_to_avoid(server, text):
    """(a word that stands once, near the middle, the token that it is with its space), or None."""
    words = [m for m in re.finditer(r" ([A-Za-z_]{4,})\b", text) if text.count(m.group(1)) == 1]
    for word in sorted(words, key=lambda m: abs(m.start() - len(text) / 2)):
        tokens = tokens_of(server, word.group())
        if len(tokens) == 1:
            return word.group(1), tokens[0]
    return None


def rewriting(server, title, text):
    """A small model does not do what it is told, but it writes a text again that it has already written again. The
    change is made by forbidding it one word, for which it then takes another."""
    word = word_to_avoid(server, text)
    if word is None:
        return None
    messages = [user(f'Write the text "{title}".'), assistant(text),
                user("Write exactly the same text again."), assistant(text),
                user(f'Write exactly the same text again, without the word "{word[0]}".')]
    options = {"logit_bias": {str(word[1]): -100}}
    return Case(messages, len(tokens_of(server, text)) * 5 // 4, options, text)


def rewritings(server, texts, count, progress):
    """(the first `count` that the model does rewrite, how many it was asked for)"""
    cases, tried = [], 0
    for title, text in candidates(texts):
        if len(cases) == count:
            break
        case = rewriting(server, title, text)
        if case is None:
            continue
        tried += 1
        reply = ask(server, case, Way("off"))["text"].strip()
        likeness = difflib.SequenceMatcher(None, reply, text.strip(), autojunk=False).ratio()
        if LIKE <= likeness < 1:
            cases.append(case)
        progress(f"looking for texts that are rewritten: {len(cases)} of {tried}")
    return cases, tried


def conversations(server, texts, count, progress):
    """Both turns of MT-bench's questions; the second with the reply to the first."""
    cases = []
    for turns in texts.chats[:count]:
        first = Case([user(turns[0])])
        reply = ask(server, first, Way("off"))["text"]
        cases += [first, Case([user(turns[0]), assistant(reply), user(turns[1])])]
        progress(f"conversations: {len(cases) // 2} of {count}")
    return cases


def workloads(server, texts, sizes, progress):
    """(workloads, a sentence on the texts)"""
    rewritten, tried = rewritings(server, texts, sizes["rewritings"], progress)
    talks = conversations(server, texts, sizes["conversations"], progress)
    # A small model repeats itself when it is greedy; here it does not, and there is little to guess.
    sampled = [dataclasses.replace(case, options={"temperature": 1, "seed": i}) for i, case in enumerate(talks[::2])]
    again = Way("on", again=True)
    return [
        Workload("the same request again", talks[:sizes["again"]], {"on": again}, {"on": 4.0},
                 Way("off", again=True)),
        Workload("a text rewritten with one change", rewritten,
                 {"on, with `prediction`": Way("on", predicts=True), "on": Way("on")},
                 {"on, with `prediction`": 3.0, "on": 2.0}),
        Workload("MT-bench, both turns", talks, {"on": Way("on")}, {"on": 1.0}),
        Workload("MT-bench, first turns, sampled", sampled, {"on": Way("on")}, {"on": 0.98}),
    ], f"The model rewrote {len(rewritten)} of the first {tried} texts (documents, and code); the others were left out."


# -- Measuring --------------------------------------------------------------------------------------


def settle(server):
    """Until nothing runs, what is computed behind a reply included, which begins a moment after it."""
    quiet = 0
    while quiet < 3:
        busy = any(json.load(server.get("/cache"))["requests"].values())
        quiet = 0 if busy else quiet + 1
        time.sleep(0.01)


def guesses(server):
    """(accepted, rejected) of all sources"""
    counted = json.load(server.get("/cache"))["guesses"]
    return tuple(sum(counted[outcome].values()) for outcome in ("accepted", "rejected"))


def send(server, case, predicts):
    predicted = {"prediction": {"type": "content", "content": case.prediction}} if predicts else {}
    return server.chat(case.messages, case.max_tokens, **case.options, **predicted)


def ask(server, case, way):
    """The reply, with the guesses that were made for it."""
    settle(server)
    server.delete("/cache")
    if way.again:
        send(server, case, way.predicts)
        settle(server)
    before = guesses(server)
    reply = send(server, case, way.predicts)
    accepted, rejected = (now - then for now, then in zip(guesses(server), before))
    return {**reply, "accepted": accepted, "rejected": rejected}


@dataclasses.dataclass
class Tally:
    """Of one way over a workload's cases in one round."""

    tokens: int = 0
    seconds: float = 0
    accepted: int = 0
    rejected: int = 0

    def add(self, reply):
        self.tokens += reply["reply"] - 1
        self.seconds += reply["last"] - reply["first"]
        self.accepted += reply["accepted"]
        self.rejected += reply["rejected"]

    def rate(self):
        return self.tokens / self.seconds


def one_round(servers, workload, turn, texts, wrong):
    """Tallies by way. `texts` has each case's reply once it was seen; what differs goes to `wrong`."""
    ways = {"off": workload.off, **workload.ways}
    tallies = {name: Tally() for name in ways}
    for i, case in enumerate(workload.cases):
        order = list(ways.items())
        for name, way in order if (turn + i) % 2 == 0 else reversed(order):
            reply = ask(servers[way.speculate], case, way)
            if texts.setdefault((workload.name, i), reply["text"]) != reply["text"]:
                wrong.append(f"{workload.name}, case {i}, {name}")
            tallies[name].add(reply)
    return tallies


def rows(workload, rounds):
    """Medians of the rounds; ratios are taken within each."""
    def over(name, value):
        return statistics.median(value(tallies[name]) for tallies in rounds)

    yield (workload.name, "off", f"{over('off', Tally.rate):,.0f}", "", "", "", "")
    for name in workload.ways:
        ratios = [tallies[name].rate() / tallies["off"].rate() for tallies in rounds]
        tokens = over(name, lambda tally: tally.tokens)
        yield ("", name, f"{over(name, Tally.rate):,.0f}",
               f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
               f"{workload.targets[name]:.2f}",
               f"{100 * over(name, lambda tally: tally.accepted) / tokens:.0f} %",
               f"{100 * over(name, lambda tally: tally.rejected) / tokens:.0f} %")


def measure(options):
    """(rows of the table, a sentence on the texts, replies in all, which of them were wrong)"""
    texts = corpus.Corpus()
    sizes = (dict(rewritings=3, conversations=2, again=2) if options.quick
             else dict(rewritings=20, conversations=16, again=16))
    wrong, seen, table, replies = [], {}, [], 0
    with contextlib.ExitStack() as stack:
        servers = {
            word: Server(stack.enter_context(programs.start_reprise(
                f"speculate-{word}", options.model, "-q", "--speculate", word, "--kv-memory", "512M",
                binary=options.binary)).url)
            for word in ("off", "on")
        }
        listed, about = workloads(servers["off"], texts, sizes, progress)
        for workload in listed:
            rounds = []
            for turn in range(options.repeats):
                rounds.append(one_round(servers, workload, turn, seen, wrong))
                replies += len(workload.cases) * (1 + len(workload.ways))
                progress(f"{workload.name}: round {turn + 1} of {options.repeats}")
            table += rows(workload, rounds)
    return table, f"{texts.described()} {about}", replies, wrong


def progress(what):
    print(f"  {what}", flush=True)


def section(table, about, replies, wrong, options):
    yield "## Replies that were seen before"
    yield ""
    yield (f"Written by `bench/server/speculation.py --write docs/measurements.md`; {options.repeats} rounds, medians, "
           f"ratios within a round (and their range). {pathlib.Path(options.model).stem}, greedy but where it says "
           "sampled, one stream, from the first token to the last.")
    yield ""
    yield page.machine()
    yield ""
    yield from page.table(("workload", "`--speculate`", "tokens/s", "by off", "wanted", "of the reply, guessed",
                           "guessed in vain, by the reply"), table, right=range(2, 7))
    yield ""
    yield (f"{about} The change is a word that `logit_bias` forbids, since so small a model changes none when it is told "
           f"to; the prediction is the text before it. Of {replies:,} replies {len(wrong)} differed from the first of "
           "their case.")


def main():
    parser = argparse.ArgumentParser(description="decoding with and without speculation, in turns")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round of few cases: whether it works")
    parser.add_argument("--binary", type=pathlib.Path, default=programs.REPRISE)
    parser.add_argument("--model", type=pathlib.Path, default=programs.MODEL)
    parser.add_argument("--write", type=pathlib.Path, help="the page that gets the figures")
    options = parser.parse_args()
    if options.quick:
        options.repeats = 1
    programs.stop_on_signals()
    table, about, replies, wrong = measure(options)
    lines = list(section(table, about, replies, wrong, options))
    print("\n".join(lines))
    for each in wrong:
        print(f"another text: {each}")
    if options.write and not wrong:
        page.replace_block(options.write, "speculation", "\n".join(lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
