#!/usr/bin/env python3
"""Reprise beside llama-server and OpenVINO GenAI: same model file, same threads, turn by turn.

usage: bench/peers/compare.py [--formats Q4_1,Q4_0,Q8_0 | --model FILE [--chat-template FILE]]
                              [--repeats N] [--threads N] [--quick] [--resume] [--no-write]

Standard library only; bench/peers/setup.sh makes the peers first. In every repetition each system
does the same piece of work on the same text before the next piece begins, in an order that rotates,
so that what else happens on the machine meets all of them. A ratio is taken within one repetition;
the table shows the median of the repetitions and their range. Figures are kept in
build/bench/peers.jsonl as they come; --resume goes on after an interruption. The table goes into
docs/measurements.md.

--model: another model than the default one, beside llama-server, into a part of its own; also another
question behind the same document, and one where the document's end differs.

--quick: one repetition, Q4_1, without the long prompts, into build/bench/peers-quick.md.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs
from corpus import Corpus
from results import Results
from stream import Server

WORK = ROOT / "build/bench"
LENGTHS = {"0.5k": 500, "1.9k": 1_900, "3.7k": 3_700, "7k": 7_000}
STREAMS = 8
REPLY_TOKENS = 128
CACHE_GB = 2  # of each system, for all lengths many times over

BRANCH = 256  # tokens at the end of a document that differ

# What is measured: key → words for the table. Rates are marked; the rest are times.
ROWS = {
    **{f"cold {name}": f"time to first token, cold, {name} prompt tokens" for name in LENGTHS},
    "again 3.7k": "time to first token, the same prompt again, 3.7k",
    "question 3.7k": "time to first token, another question behind the same 3.7k",
    "branch 3.7k": f"time to first token, the same 3.7k but for the last {BRANCH} tokens",
    "decode": "decode, one stream",
    "eight": "time to first token, 8 requests at once on one cold 1k prefix, p50",
}
RATES = {"decode"}
READS = {"question 3.7k", "branch 3.7k"}  # rows whose share of tokens read is shown
AVX2 = "Reprise, AVX2"  # as a machine without AVX-512 runs it; asked cold prompts only


class OverHttp:
    """Reprise or llama-server."""

    def __init__(self, program):
        self.program, self.server = program, Server(program.url)

    def __call__(self, conversations, max_tokens):
        """Asks all of them at once; seconds to the first and last token of each, tokens of each."""
        def ask(messages):
            return self.server.chat(messages, max_tokens, ignore_eos=True)

        with concurrent.futures.ThreadPoolExecutor(len(conversations)) as pool:
            replies = list(pool.map(ask, conversations))
        return {"first": [r["first"] for r in replies], "last": [r["last"] for r in replies],
                "tokens": [r["reply"] for r in replies], "prompt": [r["prompt"] for r in replies],
                "read": [r["read"] for r in replies]}

    def stop(self):
        self.program.stop()


class InProcess:
    """OpenVINO GenAI; `render` turns a conversation into the prompt that the servers see."""

    def __init__(self, model, threads, render):
        python = programs.PEERS / "openvino/bin/python"
        if not python.exists():
            raise programs.DidNotStart("OpenVINO is absent: bench/peers/setup.sh makes it")
        worker = pathlib.Path(__file__).with_name("openvino_worker.py")
        self.render = render
        self.program = programs.Program("openvino", [python, worker, model, threads, CACHE_GB],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self):
        for line in self.program.process.stdout:
            if line.startswith("{"):  # the library prints notes of its own
                return json.loads(line)
        self.program.fail("ended")

    def __call__(self, conversations, max_tokens):
        request = {"prompts": [self.render(c) for c in conversations], "max_new_tokens": max_tokens}
        self.program.process.stdin.write(json.dumps(request) + "\n")
        self.program.process.stdin.flush()
        return self._answer()

    def stop(self):
        self.program.stop()


def start_all(model, options, stack):
    """name → system. One but the first that does not start is left out, and why is said."""
    def start(make):
        system = make()
        stack.callback(system.stop)
        return system

    def reprise(name, *more):
        # What guesses at a reply's next tokens bring is measured by bench/server/speculation.py.
        return OverHttp(programs.start_reprise(name, model, "--threads", str(threads),
                                               *programs.without_guesses(),
                                               "--kv-memory", f"{CACHE_GB}G", *ours_more, *more))

    threads, template = options.threads, options.chat_template
    ours_more = ["--chat-template", template] if template else []
    llama_more = ["--jinja", "--chat-template-file", template] if template else []
    ours = start(lambda: reprise("reprise"))
    context = 8192 * STREAMS
    others = {
        AVX2: lambda: reprise("reprise-avx2", "--isa", "avx2"),
        "llama-server": lambda: OverHttp(programs.start_llama(
            "llama-server", model, "-t", str(threads), "-c", str(context), "-np", str(STREAMS),
            *llama_more)),
        "OpenVINO": lambda: InProcess(model, threads, lambda messages: json.loads(
            ours.server.post("/apply-template", {"messages": messages}).read())["prompt"]),
    }
    if options.model:
        del others["OpenVINO"]
    systems, absent = {"Reprise": ours}, {}
    for name, make in others.items():
        try:
            systems[name] = start(make)
        except programs.DidNotStart as error:
            absent[name] = str(error)
            print(f"  without {name}: {error}", flush=True)
    return systems, absent


def conversation(document, question):
    return [{"role": "system", "content": document}, {"role": "user", "content": question}]


class Work:
    """The pieces of work; each takes a system and the text's name, and gives {row key: figure}."""

    def __init__(self, corpus):
        self.corpus = corpus

    def cold(self, length):
        def run(system, name):
            document = self.corpus.document(LENGTHS[length], name)
            asked = [conversation(document, "What is this about?")]
            reply = system(asked, 1)
            figures = {f"cold {length}": reply["first"][0], f"tokens {length}": reply["prompt"][0]}
            if f"again {length}" in ROWS:
                again = [system(asked, 1)["first"][0] for _ in range(3)]
                figures[f"again {length}"] = statistics.median(again)
            return figures
        return run

    def partly(self, system, name):
        """What is known of a prompt is its document; then all of it but the document's end."""
        document = self.corpus.document(LENGTHS["3.7k"], name)
        system([conversation(document, "What is this about?")], 1)
        words = document.split(" ")
        ending = " ".join(self.corpus.document(BRANCH, f"{name} end").split(" "))
        kept = " ".join(words[:len(words) - len(ending.split(" "))])
        found = {}
        for row, asked in (("question 3.7k", conversation(document, "Who is it written for?")),
                           ("branch 3.7k", conversation(f"{kept} {ending}", "What is this about?"))):
            reply = system([asked], 1)
            found |= {row: reply["first"][0], f"read {row}": reply["read"][0] / reply["prompt"][0]}
        return found

    def decode(self, system, name):
        asked = [conversation(self.corpus.document(60, name), "Tell me a long story.")]
        reply = system(asked, REPLY_TOKENS)
        seconds = reply["last"][0] - reply["first"][0]
        return {"decode": (reply["tokens"][0] - 1) / seconds}

    def eight(self, system, name):
        prefix = self.corpus.document(1_000, name)
        reply = system([conversation(prefix, f"Question number {i}: what follows from this?")
                        for i in range(STREAMS)], 16)
        return {"eight": statistics.median(reply["first"])}

    def pieces(self, options):
        return {**{f"cold {name}": self.cold(name) for name in options.lengths},
                **({"partly": self.partly} if options.model else {}),
                "decode": self.decode, "eight": self.eight}


def model_file(weight_format, options):
    if options.model:
        return options.model
    if weight_format in programs.MODEL.name:
        return programs.MODEL
    return programs.PEERS / "models" / programs.MODEL.name.replace("Q4_1", weight_format)


def measure(weight_format, options, results, corpus):
    """Fills the results with what is missing of one format."""
    pieces = Work(corpus).pieces(options)
    names = ["Reprise", AVX2, "llama-server"] + ([] if options.model else ["OpenVINO"])
    left = [(repeat, piece, name) for repeat in range(options.repeats)
            for piece in pieces
            for name in names[repeat % len(names):] + names[:repeat % len(names)]
            if (name != AVX2 or piece.startswith("cold"))
            and f"{weight_format}/{piece}/{repeat}/{name}" not in results]
    if not left:
        return
    print(f"{weight_format}: starting the systems", flush=True)
    with contextlib.ExitStack() as stack:
        systems, absent = start_all(model_file(weight_format, options), options, stack)
        for system in systems.values():
            system([conversation(corpus.document(200, "warming up"), "Well?")], 8)
        for done, (repeat, piece, name) in enumerate(left):
            key = f"{weight_format}/{piece}/{repeat}/{name}"
            if name in absent:
                results.fail(key, absent[name])
                continue
            begin = time.monotonic()
            try:
                text = f"{results.nonce} {weight_format} {piece} {repeat}"
                results.keep(key, pieces[piece](systems[name], text))
            except (OSError, RuntimeError, ValueError, KeyError, IndexError) as error:
                results.fail(key, f"{name}: {error}")
            seconds = time.monotonic() - begin
            print(f"  {done + 1:>3} of {len(left)}: {key}, {seconds:.1f} s", flush=True)


def figures(results, weight_format, row, name):
    """repetition → figure."""
    found = {}
    for key, value in results.all(f"{weight_format}/").items():
        _, _, repeat, system = key.split("/")
        if system == name and row in value:
            found[int(repeat)] = value[row]
    return found


def ratio_cell(ours, theirs, rate):
    """How many times faster ours is, repetition by repetition: median (range)."""
    ratios = sorted((ours[i] / theirs[i]) if rate else (theirs[i] / ours[i])
                    for i in ours.keys() & theirs.keys())
    if not ratios:
        return "–"
    return f"{statistics.median(ratios):.2f} × ({ratios[0]:.2f}–{ratios[-1]:.2f})"


def value_cell(values, rate):
    if not values:
        return "–"
    median = statistics.median(values.values())
    return f"{median:,.0f} tokens/s" if rate else f"{1e3 * median:,.0f} ms"


def report(results, options):
    title = "Another model beside llama-server" if options.model else "Beside its peers"
    lines = [f"## {title}", "",
             "Written by `bench/peers/compare.py`. Every ratio says how many times faster Reprise "
             "is (time of the peer ÷ ours, or our rate ÷ the peer's), taken within one "
             f"repetition: median (range) of {options.repeats}. All systems use {options.threads} "
             "threads, the same GGUF and the same text; Reprise and llama-server are asked over "
             "HTTP, OpenVINO GenAI in process.",
             "", results.head["machine"], ""]
    peers = ["llama-server"] if options.model else ["llama-server", "OpenVINO"]
    for weight_format in options.formats:
        rows = []
        measured = [*((row, words, "Reprise") for row, words in ROWS.items()),
                    *((f"cold {name}", f"{ROWS[f'cold {name}']}, Reprise on AVX2", AVX2)
                      for name in LENGTHS)]
        for row, words, us in measured:
            rate = row in RATES
            ours = figures(results, weight_format, row, us)
            cells = [words, value_cell(ours, rate)]
            for peer in peers:
                theirs = figures(results, weight_format, row, peer)
                cells += [value_cell(theirs, rate), ratio_cell(ours, theirs, rate)]
            if row in READS and len(cells) > 1:
                for place, name in ((1, us), (2, "llama-server")):
                    shares = figures(results, weight_format, f"read {row}", name)
                    if shares:
                        cells[place] += f", {statistics.median(shares.values()):.1%} read"
            if any(cell != "–" for cell in cells[1:]):
                rows.append(cells)
        columns = ["", "Reprise", *(part for peer in peers for part in (peer, "×"))]
        lines += [f"### {weight_format}", "", *page.table(columns, rows, right=range(1, 6)), ""]
        lines += [f"– : {reason}" for reason in results.reasons(f"{weight_format}/")]
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", default="Q4_1,Q4_0,Q8_0", help="of the weights, by comma")
    parser.add_argument("--model", type=pathlib.Path, help="a GGUF file instead of the formats")
    parser.add_argument("--chat-template", type=pathlib.Path, help="for --model, if it has none")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="see above")
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run")
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    options = parser.parse_args()
    options.formats, options.lengths = options.formats.split(","), list(LENGTHS)
    if options.quick:
        options.formats, options.lengths, options.repeats = ["Q4_1"], ["0.5k", "1.9k"], 1
    if options.model:
        options.formats = [options.model.stem]
    for weight_format in options.formats:
        file = model_file(weight_format, options)
        if not file.exists():
            parser.error(f"{file} is absent" + ("" if options.model
                                                else ": bench/peers/setup.sh makes it"))
    return options


def main():
    options = arguments()
    programs.stop_on_signals()
    block = f"peers-{options.model.stem}" if options.model else "peers"
    name = f"{block}-quick" if options.quick else block
    asked = {key: getattr(options, key) for key in ("formats", "lengths", "repeats", "threads")}
    results = Results(WORK / f"{name}.jsonl", {"options": asked, "machine": page.machine()},
                      options.resume)
    corpus = Corpus()
    try:
        for weight_format in options.formats:
            measure(weight_format, options, results, corpus)
    except programs.DidNotStart as error:
        sys.exit(f"compare.py: {error}")
    except KeyboardInterrupt:
        print(f"\nstopped; {len(results.values)} figures kept: --resume goes on", flush=True)
        sys.exit(130)
    text = report(results, options)
    print("\n" + text)
    if options.quick:
        (WORK / f"{name}.md").write_text(text + "\n")
    elif not options.no_write:
        page.replace_block(ROOT / "docs/measurements.md", block, text)


if __name__ == "__main__":
    main()
