#!/usr/bin/env python3
"""Measures a server: cold against warm, by length and by workload. Standard library only.

usage: bench/server/measure.py [--url URL] [--repeats N] [--write FILE]

Without --url it starts build/release/src/app/reprise on the default model and a free port, and stops
it afterwards. Prints Markdown; --write puts it, with machine and commit, into its place in FILE.
"""
import argparse
import concurrent.futures
import itertools
import pathlib
import random
import re
import shutil
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs
from stream import Server

SOURCE = pathlib.Path("/usr/share/common-licenses/GPL-3")
PARAGRAPHS = re.split(r"\n\s*\n", SOURCE.read_text())


LENGTHS = (2_000, 8_500, 17_000, 32_000)  # characters


def prose(characters, seed):
    """Real paragraphs in a random order: never seen before, and still text."""
    order = random.Random(seed).sample(PARAGRAPHS, len(PARAGRAPHS))
    return f"Document {seed}.\n\n" + "\n\n".join(order)[:characters]


def messages(document, question):
    return [{"role": "system", "content": document}, {"role": "user", "content": question}]


def computed_tokens(server):
    page = server.get("/metrics").read().decode()
    return int(re.search(r"^reprise_computed_tokens_total (\d+)", page, re.MULTILINE).group(1))


def median_ms(values):
    return f"{1e3 * statistics.median(values):,.0f}"


def time_to_first_token(server, repeats, progress):
    yield "| prompt tokens | cold, ms | other question, ms | same again, ms | read | tokens/s cold |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for characters in LENGTHS:
        cold, warm, same = [], [], []
        for i in range(repeats):
            document = prose(characters, random.getrandbits(40))
            cold.append(server.chat(messages(document, "What is this about?")))
            warm.append(server.chat(messages(document, "Who wrote it, and when?")))
            same.append(server.chat(messages(document, "Who wrote it, and when?")))
            progress(f"{characters} characters, {i + 1} of {repeats}")
        tokens = statistics.median(r["prompt"] for r in cold)
        read = sum(r["read"] for r in warm) / sum(r["prompt"] for r in warm)
        speed = statistics.median(r["prompt"] / r["first"] for r in cold)
        yield (f"| {tokens:,.0f} | {median_ms([r['first'] for r in cold])} "
               f"| {median_ms([r['first'] for r in warm])} | {median_ms([r['first'] for r in same])} "
               f"| {100 * read:.1f} % | {speed:,.0f} |")


def after_a_restart(repeats, progress):
    """The first thing that a new process is asked: another question about what the one before had read."""
    folder = ROOT / "build/bench/restarted"
    options = ("-q", "--disk", folder, "--disk-size", "4G")
    yield "| prompt tokens | first token after a restart (`--disk`), ms | read |"
    yield "|---:|---:|---:|"
    for characters in LENGTHS:
        replies = []
        for i in range(repeats):
            shutil.rmtree(folder, ignore_errors=True)
            document = prose(characters, random.getrandbits(40))
            with programs.start_reprise("before", programs.MODEL, *options) as program:
                Server(program.url).chat(messages(document, "What is this about?"))
            with programs.start_reprise("after", programs.MODEL, *options) as program:
                replies.append(Server(program.url).chat(messages(document, "Who wrote it, and when?")))
            progress(f"restart, {characters} characters, {i + 1} of {repeats}")
        tokens = statistics.median(r["prompt"] for r in replies)
        read = sum(r["read"] for r in replies) / sum(r["prompt"] for r in replies)
        yield f"| {tokens:,.0f} | {median_ms([r['first'] for r in replies])} | {100 * read:.1f} % |"
    shutil.rmtree(folder, ignore_errors=True)


def decode(server, repeats, progress):
    def stream(i):
        return server.chat(messages(prose(300, i), "Tell me a long story."), 128, ignore_eos=True)

    yield "| streams | tokens/s in all |"
    yield "|---:|---:|"
    for streams in (1, 8):
        rates = []
        for i in range(repeats):
            with concurrent.futures.ThreadPoolExecutor(streams) as pool:
                begin = time.perf_counter()
                replies = list(pool.map(stream, range(streams)))
                seconds = time.perf_counter() - begin
            if streams == 1:  # without the prompt
                rates.append((replies[0]["reply"] - 1) / (replies[0]["last"] - replies[0]["first"]))
            else:
                rates.append(sum(r["reply"] for r in replies) / seconds)
            progress(f"{streams} streams, {i + 1} of {repeats}")
        yield f"| {streams} | {statistics.median(rates):,.0f} |"


def workloads(server, repeats, progress):
    yield "| workload | result |"
    yield "|---|---|"
    same = 0
    for i in range(8):
        asked = messages(prose(4_000, f"exact {i}"), "Explain.")
        same += server.chat(asked, 48)["text"] == server.chat(asked, 48)["text"]
        progress(f"exact, {i + 1} of 8")
    yield f"| greedy reply the same cold and warm | {same} of 8 |"

    documents = [prose(7_000, f"tenant {i}{time.time()}") for i in range(24)]
    read = total = 0
    for turn in range(3):
        for document in documents:
            reply = server.chat(messages(document, f"Question {turn}?"))
            if turn:
                read, total = read + reply["read"], total + reply["prompt"]
        progress(f"24 documents in turn, round {turn + 1} of 3")
    yield f"| 24 documents asked in turn: share of prompt tokens read | {100 * read / total:.1f} % |"

    talk = [{"role": "system", "content": prose(3_500, f"turns {time.time()}")}]
    known, again = 0, []
    for turn in range(8):
        talk.append({"role": "user", "content": prose(800, f"turn {turn}{time.time()}")})
        reply = server.chat(talk, 60)
        talk.append({"role": "assistant", "content": reply["text"]})
        if turn:
            again.append(known - reply["read"])
        known = reply["prompt"] + reply["reply"]
        progress(f"conversation, turn {turn + 1} of 8")
    yield f"| conversation of 8 turns: known tokens computed again, a turn | at most {max(again)} |"

    document = prose(15_000, f"shared {time.time()}")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda i: server.chat(
            messages(document, f"Question number {i}, please?"), 32, ignore_eos=True), range(8)))
    computed = sum(r["prompt"] - r["read"] for r in replies)
    yield (f"| 8 requests at once on one new document: prompt tokens computed | {computed:,} "
           f"({computed / replies[0]['prompt']:.2f} × one prompt) |")

    pauses, computed, prompt = [], 0, 0
    for i in range(repeats):
        progress(f"four streams beside a long prompt, {i + 1} of {repeats}")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            streams = [pool.submit(server.chat, messages(prose(300, f"{stream}"), "Tell me a story."),
                                   300, ignore_eos=True) for stream in range(4)]
            time.sleep(0.5)
            before, begin = computed_tokens(server), time.perf_counter()
            reply = server.chat(messages(prose(32_000, f"beside {time.time()}"), "What is it about?"))
            end = time.perf_counter()
            computed += computed_tokens(server) - before
            prompt += reply["prompt"]
            pauses += [1e3 * (b - a) for stream in streams
                       for a, b in itertools.pairwise(stream.result()["times"])
                       if begin < a and b < end]
    pauses.sort()
    yield (f"| four streams beside a new prompt of {prompt // repeats:,} tokens: pause between tokens "
           f"while it is read, median / p99 / longest of {len(pauses):,} | "
           f"{statistics.median(pauses):.0f} / {pauses[int(0.99 * len(pauses))]:.0f} / "
           f"{pauses[-1]:.0f} ms |")
    yield f"| the same: prompt tokens computed | {computed / prompt:.2f} × the prompt |"


def progress(what):
    print(f"  {what}", flush=True)


def write_down(sections):
    lines = []
    for title, rows in sections:
        print(title, flush=True)
        lines += [f"## {title}", "", *rows, ""]
    return "\n".join(lines)


def measure(server, repeats):
    return write_down([
        ("Time to first token", time_to_first_token(server, repeats, progress)),
        ("Decode", decode(server, repeats, progress)),
        ("Workloads", workloads(server, repeats, progress))])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a running server; default: start our own")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    programs.stop_on_signals()
    if options.url:
        report = measure(Server(options.url), options.repeats)
    else:
        with programs.start_reprise("measured", programs.MODEL, "-q", *programs.without_guesses()) as program:
            report = measure(Server(program.url), options.repeats)
        report += "\n" + write_down([("After a restart", after_a_restart(options.repeats, progress))])
    text = (f"Written by `bench/server/measure.py --repeats {options.repeats} "
            f"--write docs/measurements.md`; medians.\nSmolLM2-135M-Instruct, Q4_1, over HTTP on the "
            f"same machine.\n\n{page.machine()}\n\n{report}")
    print("\n" + report)
    if options.write:
        page.replace_block(options.write, "server", text)


if __name__ == "__main__":
    main()
