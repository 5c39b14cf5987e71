#!/usr/bin/env python3
"""Measures what each step of docs/deploy.md buys: a cache, a disk, a second server and a router, a store that both share,
an update without a stop.

usage: bench/fleet/steps.py [--repeats N] [--only STEP,…] [--write FILE]

Starts build/release/src/app/reprise on the default model, routers before it, and redis-server, all on this machine; two
servers have half of its cores each. Every figure is a median of N runs, each on texts of its own, and what is compared is
measured in turns within a run. Prints Markdown; --write puts each step's lines, with machine and commit, into their place
in FILE.
"""
import argparse
import contextlib
import pathlib
import random
import shutil
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench/server")]
import page
import programs
from conversations import CLIENTS, SHORT, InTurn, compare, compared, milliseconds, percent, share
from measure import prose
from servers import FOLDER, Failed, Replica, about, ask, settle, two

LONG = 17_000  # characters of a document: about 3,800 tokens


def times(values, others):
    """How many times as long, of medians."""
    return f"{statistics.median(values) / statistics.median(others):,.1f}"


# -- One machine ----------------------------------------------------------------------------------


def one(repeats, progress):
    cold, again, tokens = [], [], 0
    with Replica("one") as server:
        for i in range(repeats):
            document = prose(LONG, random.getrandbits(40))
            row = ask(server.url, about(document, "What is this about?"))
            tokens = row["prompt"]
            cold.append(row["seconds"])
            again.append(ask(server.url, about(document, "Who wrote it?"))["seconds"])
            progress(f"one machine, {i + 1} of {repeats}")
    yield from page.table(
        [f"a document of {tokens:,} tokens", "first token"],
        [["asked about for the first time", milliseconds(cold)],
         ["another question about it", f"{milliseconds(again)}: {times(cold, again)} times as soon"]], right=(1,))


def disk(repeats, progress):
    found = {False: [], True: []}
    reads = {False: [], True: []}
    for i in range(repeats):
        for kept in found:
            shutil.rmtree(FOLDER, ignore_errors=True)
            document = prose(LONG, random.getrandbits(40))
            with Replica("disk", *(("--disk", FOLDER, "--disk-size", "2G") if kept else ())) as server:
                ask(server.url, about(document, "What is this about?"))
                server.program.stop()
                server.start()
                row = ask(server.url, about(document, "Who wrote it?"))
                found[kept].append(row["seconds"])
                reads[kept].append(row["read"] / row["prompt"])
        progress(f"a disk, {i + 1} of {repeats}")
    shutil.rmtree(FOLDER, ignore_errors=True)
    gain = f": {times(found[False], found[True])} times as soon"
    yield from page.table(
        ["the same document, after a restart", "read", "first token"],
        [["memory alone", percent(statistics.median(reads[False])), milliseconds(found[False])],
         ["`--disk`", percent(statistics.median(reads[True])), milliseconds(found[True]) + gain]], right=(1, 2))


# -- Two machines ---------------------------------------------------------------------------------

# For the tokens of six of the ten documents with what is said about them: more than half, less than all.
HALF = ("--kv-memory", "190M", "--context", "4096")
WHOLE = ("--kv-memory", "380M", "--context", "4096")


@contextlib.contextmanager
def way(name):
    """The URLs to ask, in turn."""
    with contextlib.ExitStack() as stack:
        if name.startswith("one"):
            yield [stack.enter_context(Replica("both", *WHOLE)).url]
        else:
            replicas, front = stack.enter_context(two(*HALF))
            yield [front.url] if "route" in name else [replica.url for replica in replicas]


def router(repeats, progress):
    names = ("one server with the memory of both", "two, asked in turn", "two, behind `reprise route`")
    ways = compare(names, way, repeats, progress)
    yield from compared("memory for all but not twice", ways)
    reached = statistics.median(b[0] / a[0] for a, b in zip(ways[names[0]], ways[names[2]]))
    yield f"\nThat is {percent(reached)} of what one server reads."


def shared(repeats, progress):
    found = {False: [], True: []}
    reads = {False: [], True: []}
    for i in range(repeats):
        for kept in found:
            progress(f"a store, {i + 1} of {repeats}")
            texts = [prose(SHORT, random.getrandbits(40)) for _ in range(6)]
            with contextlib.ExitStack() as stack:
                store = stack.enter_context(programs.start_redis("steps-redis"))
                replicas, front = stack.enter_context(two(*(("--shared", store.url) if kept else ())))
                first = [ask(front.url, about(text, "What is it about?")) for text in texts]
                if kept:
                    settle(lambda: sum(replica.written("shared") for replica in replicas))
                lost = {replica: [text for text, row in zip(texts, first) if str(replica.port) in row["replica"]]
                        for replica in replicas}
                gone = max(replicas, key=lambda replica: len(lost[replica]))
                gone.kill()
                rows = [ask(front.url, about(text, "Who wrote it?")) for text in lost[gone]]
                found[kept] += [row["seconds"] for row in rows]
                reads[kept].append(share(rows))
    gain = f": {times(found[False], found[True])} times as soon"
    yield from page.table(
        ["documents that a server held, asked about after it was killed", "read by the other", "first token"],
        [["each its own memory", percent(statistics.median(reads[False])), milliseconds(found[False])],
         ["`--shared`", percent(statistics.median(reads[True])), milliseconds(found[True]) + gain]], right=(1, 2))


# -- An update ------------------------------------------------------------------------------------


def update(repeats, progress):
    """Each of two servers is told to stop, and started again over its disk, while people ask."""
    ways = {"asked in turn": [], "behind `reprise route`": []}
    for i in range(repeats):
        for way, runs in ways.items():
            progress(f"an update, {i + 1} of {repeats}: {way}")
            shutil.rmtree(FOLDER, ignore_errors=True)
            with two(each=lambda number: ("--disk", FOLDER / str(number), "--disk-size", "1G")) as (replicas, front):
                urls = [front.url] if "route" in way else [replica.url for replica in replicas]
                runs.append(asked_meanwhile(urls, lambda: restart(replicas)))
    shutil.rmtree(FOLDER, ignore_errors=True)
    yield from page.table(
        ["two servers restarted one after the other under load", "requests in all", "failed", "read of the prompts"],
        [[way, f"{sum(run[0] for run in runs):,}", f"{sum(run[1] for run in runs):,}",
          percent(statistics.median(run[2] for run in runs))] for way, runs in ways.items()], right=(1, 2, 3))


def restart(replicas):
    for replica in replicas:
        replica.program.stop()
        replica.start()
        time.sleep(5)  # until others know that it is back, and it has had its share of work


def asked_meanwhile(urls, change):
    """(requests, of them failed, share read) of clients who ask about four documents while `change`() runs."""
    texts = [prose(SHORT, random.getrandbits(40)) for _ in range(4)]
    for url in urls:
        for text in texts:
            ask(url, about(text, "What is it about?"))
    rows, failed, done, turn = [], [], threading.Event(), InTurn(*urls)

    def client(number):
        draw = random.Random(number)
        while not done.is_set():
            try:
                rows.append(ask(next(turn), about(draw.choice(texts), f"Question {draw.random()}?"), max_tokens=8))
            except Failed as error:
                failed.append(str(error))
                time.sleep(0.05)  # as clients do before they try again

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for each in clients:
        each.start()
    change()
    done.set()
    for each in clients:
        each.join()
    return len(rows) + len(failed), len(failed), share(rows)


STEPS = {"one": one, "disk": disk, "router": router, "shared": shared, "update": update}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default=",".join(STEPS), help="of " + ", ".join(STEPS))
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    if unknown := set(options.only.split(",")) - STEPS.keys():
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    programs.stop_on_signals()

    for name in options.only.split(","):
        text = "\n".join([*STEPS[name](options.repeats, programs.show_progress), "",
                          f"Medians of {options.repeats} run{'s' * (options.repeats > 1)}, {page.machine()}, SmolLM2-135M-Instruct Q4_1."])
        print(f"\n### {name}\n\n{text}\n", flush=True)
        if options.write:
            page.replace_block(options.write, f"steps-{name}", text)


if __name__ == "__main__":
    try:
        main()
    except (programs.DidNotStart, Failed) as error:
        sys.exit(f"steps.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
