#!/usr/bin/env python3
"""Measures the stores below memory: after a restart and a kill, beside too little memory, shared by two servers,
what they cost a step, and when they are slow.

usage: bench/tiers/measure.py [--repeats N] [--kills N] [--trace FILE] [--write FILE]

Starts build/release/src/app/reprise on the default model over a folder of its own under build/bench, and
redis-server for what is shared. Prints Markdown; --write puts it, with machine and commit, into its place in FILE.
Two options do something else. --kills N: N times it kills the server at a random moment under load, checks the
whole folder, and compares the next start's replies with those computed cold. --trace FILE replays a trace of
requests in Mooncake's form (github.com/kvcache-ai/Mooncake) without a model; see replay.cc.
"""
import argparse
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench/server"), str(ROOT / "bench/tiers")]
import page
import programs
import throttle
from measure import messages, prose

FOLDER = ROOT / "build/bench/tiers"
TENANTS = 24


def ask(server, text, question, key="none", tokens=1):
    """(seconds, prompt tokens, read, from disk, checksum of the logits); one token is the first."""
    body = {"model": "m", "messages": messages(text, question), "max_tokens": tokens, "temperature": 0}
    request = urllib.request.Request(
        server.url + "/v1/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
    begin = time.perf_counter()
    with urllib.request.urlopen(request, timeout=600) as response:
        reply = json.loads(response.read())
        seconds = time.perf_counter() - begin
        figures = dict(part.split("=") for part in response.headers["x-reprise-cache"].split(", "))
    return (seconds, reply["usage"]["prompt_tokens"], int(figures["read"]), int(figures.get("disk", 0)),
            reply["choices"][0]["logits_checksum"])


def serve(name, *options, disk=True):
    more = ["--disk", FOLDER, "--disk-size", "8G"] if disk else []
    return programs.start_reprise(f"tiers-{name}", programs.MODEL, "--expose-logits-checksum", *more, *options)


def kill(server):
    server.process.kill()
    server.process.wait()
    server.stop()


def milliseconds(values):
    return f"{1e3 * statistics.median(values):,.0f}"


def after_the_end(repeats, progress):
    yield "| prompt tokens | cold, ms | after a stop, ms | after SIGKILL 2 s after the reply, ms | share of cold | logits |"
    yield "|---:|---:|---:|---:|---:|---|"
    cold, stopped, killed, equal, tokens = [], [], [], 0, 0
    for i in range(repeats):
        shutil.rmtree(FOLDER, ignore_errors=True)
        text = prose(17_000, random.getrandbits(40))
        with serve("cold", disk=False) as server:
            ask(server, "Warm the machine up.", "Yes?")
            seconds, tokens, read, _, wanted = ask(server, text, "Who wrote it?")
            cold.append(seconds)
        server = serve("first")
        ask(server, text, "What is this about?")
        time.sleep(2)
        kill(server)
        with serve("second") as server:
            ask(server, "Warm the machine up.", "Yes?")
            seconds, _, _, disk, checksum = ask(server, text, "Who wrote it?")
            killed.append(seconds)
            equal += checksum == wanted and disk > 0.9 * tokens
        with serve("third") as server:
            ask(server, "Warm the machine up.", "Yes?")
            seconds, _, _, disk, checksum = ask(server, text, "Who wrote it?")
            stopped.append(seconds)
            equal += checksum == wanted and disk > 0.9 * tokens
        progress(f"after the end, {i + 1} of {repeats}")
    share = statistics.median(killed) / statistics.median(cold)
    yield (f"| {tokens:,} | {milliseconds(cold)} | {milliseconds(stopped)} | {milliseconds(killed)} "
           f"| {100 * share:.1f} % | {equal} of {2 * repeats} equal |")


def beside_little_memory(progress):
    texts = [prose(8_000, seed) for seed in range(TENANTS)]
    keys = FOLDER.parent / "tenants"
    keys.parent.mkdir(parents=True, exist_ok=True)
    keys.write_text("".join(f"key-of-tenant-number-{i} t{i}/main\n" for i in range(TENANTS)))
    yield f"| {TENANTS} tenants' documents asked in turn, memory for a quarter of them | read in the second round | first token, ms |"
    yield "|---|---:|---:|"
    for name, disk in (("memory alone", False), ("with the disk", True)):
        shutil.rmtree(FOLDER, ignore_errors=True)
        with serve("tenants", "--api-keys", keys, "--kv-memory", "200M", "--context", "4096", disk=disk) as server:
            for round_ in range(2):
                rows = []
                for i, text in enumerate(texts):
                    rows.append(ask(server, text, f"Question {round_}?", key=f"key-of-tenant-number-{i}"))
                    progress(f"{name}, round {round_ + 1}, {i + 1} of {TENANTS}")
        read = sum(row[2] for row in rows) / sum(row[1] for row in rows)
        yield f"| {name} | {100 * read:.1f} % | {milliseconds([row[0] for row in rows])} |"


def share(url, name):
    return serve(name, "--shared", url, disk=False)


def counters(server):
    with urllib.request.urlopen(server.url + "/cache") as answer:
        return json.load(answer)["shared"]["counters"]


def two_servers(repeats, progress):
    yield "| prompt tokens | cold, ms | read by the second of what the first computed | first token there, ms | of cold | logits |"
    yield "|---:|---:|---:|---:|---:|---|"
    cold, second, read, equal, tokens = [], [], [], 0, 0
    for i in range(repeats):
        text = prose(17_000, random.getrandbits(40))
        with programs.start_redis("redis") as store, share(store.url, "one") as one, share(store.url, "other") as other:
            for server in (one, other):
                ask(server, "Warm the machine up.", "Yes?")
            seconds, tokens, _, _, wanted = ask(one, text, "Who wrote it?")
            cold.append(seconds)
            until = time.monotonic() + 20
            while counters(one)["written_blocks"] < tokens // 32 and time.monotonic() < until:
                time.sleep(0.05)
            seconds, _, hit, _, checksum = ask(other, text, "Who wrote it?")
            second.append(seconds)
            read.append(hit / tokens)
            equal += checksum == wanted
        progress(f"two servers, {i + 1} of {repeats}")
    part = statistics.median(second) / statistics.median(cold)
    yield (f"| {tokens:,} | {milliseconds(cold)} | {100 * statistics.median(read):.1f} % | {milliseconds(second)} "
           f"| {100 * part:.1f} % | {equal} of {repeats} equal |")


def slow_stores(repeats, progress):
    """Behind a relay that lets so many bytes through a second; computing takes 25 MB of K and V a second."""
    yield "| what the store lets through | first token, ms | of cold | read |"
    yield "|---|---:|---:|---:|"
    figures = {rate: [] for rate in (None, 1, 5, 10, 0)}
    for i in range(repeats):
        text = prose(17_000, random.getrandbits(40))
        with programs.start_redis("redis") as store:
            with share(store.url, "filler") as filler:
                ask(filler, text, "Who wrote it?")
                time.sleep(1)
            for rate in figures:
                with throttle.Relay(store.url, rate) as relay:
                    with share(relay.url, "slow") if rate is not None else serve("cold", disk=False) as server:
                        ask(server, "Warm the machine up.", "Yes?")
                        relay.stands_still = rate == 0
                        seconds, tokens, read, _, _ = ask(server, text, "Who wrote it?")
                        figures[rate].append((seconds, read / tokens))
                        relay.stands_still = False
                progress(f"slow stores, {i + 1} of {repeats}, {rate} MB/s")
    cold = statistics.median(row[0] for row in figures[None])
    for rate, rows in figures.items():
        name = "no store: cold" if rate is None else f"{rate} MB/s" if rate else "nothing: it stands still"
        yield (f"| {name} | {milliseconds([row[0] for row in rows])} | {statistics.median(row[0] for row in rows) / cold:.2f} x "
               f"| {100 * statistics.median(row[1] for row in rows):.0f} % |")


def replay(trace):
    subprocess.run(["ninja", "-C", ROOT / "build/release", "tier_replay"], check=True, capture_output=True)
    done = subprocess.run([ROOT / "build/release/bench/tiers/tier_replay", trace, FOLDER], check=True,
                          capture_output=True, text=True)
    yield from done.stdout.rstrip().split("\n")


def gaps(server, seed):
    """Seconds between the tokens of a stream beside which new prompts are read, and written to the disk."""
    done = threading.Event()

    def read_prompts():
        generator = random.Random(seed)
        while not done.is_set():
            ask(server, prose(4_000, generator.getrandbits(40)), "So?")

    beside = threading.Thread(target=read_prompts)
    beside.start()
    body = {"model": "m", "messages": messages("Stories.", f"Tell me a long story, number {seed}."), "max_tokens": 400,
            "stream": True, "ignore_eos": True}
    request = urllib.request.Request(server.url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    times = []
    with urllib.request.urlopen(request, timeout=600) as response:
        for line in response:
            if line.startswith(b"data: {"):
                times.append(time.perf_counter())
    done.set()
    beside.join()
    return [b - a for a, b in zip(times, times[1:])]


def cost_of_a_step(repeats, progress):
    yield "| stream beside prompts that are read | step, median, ms | p99, ms |"
    yield "|---|---:|---:|"
    found = {True: [], False: []}
    for i in range(3 * repeats):
        for disk in (False, True):
            shutil.rmtree(FOLDER, ignore_errors=True)
            with serve("step", "--stream-pause", "20ms", disk=disk) as server:
                found[disk].append(gaps(server, i))
            progress(f"step, {'with' if disk else 'without'} the disk, {i + 1} of {3 * repeats}")
    p99 = {}
    for disk, name in ((False, "memory alone"), (True, "with the disk")):
        p99[disk] = statistics.median(sorted(run)[len(run) * 99 // 100] for run in found[disk])
        middle = statistics.median(step for run in found[disk] for step in run)
        yield f"| {name} | {1e3 * middle:.1f} | {1e3 * p99[disk]:.1f} |"
    yield (f"\np99 (the median of {len(found[True])} streams' of {len(found[True][0])} steps each) with the disk is "
           f"{p99[True] / p99[False]:.2f} of that without.")


def kills(count, progress):
    shutil.rmtree(FOLDER, ignore_errors=True)
    texts = [prose(1_500, seed) for seed in range(12)]
    with serve("cold", disk=False) as server:
        wanted = [ask(server, text, "So?")[4] for text in texts]
    generator = random.Random(1)
    read = wrong = failed = bad = 0
    for i in range(count):
        # A folder for a third of the texts, so that it is written and erased all the time.
        server = programs.start_reprise("tiers-kill", programs.MODEL, "--expose-logits-checksum", "--kv-memory", "64M",
                                        "--context", "1024", "--disk", FOLDER, "--disk-size", "30M")

        def load(seed, server=server):
            order = random.Random(seed)
            for _ in range(20):
                try:
                    ask(server, order.choice(texts), "So?")
                except OSError:
                    return  # it was killed

        threads = [threading.Thread(target=load, args=(i * 10 + j,)) for j in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(generator.random() * 0.8)
        kill(server)
        for thread in threads:
            thread.join()
        verified = subprocess.run([programs.REPRISE, "cache", "verify", FOLDER], capture_output=True, text=True)
        bad += verified.returncode != 0
        with programs.start_reprise("tiers-kill", programs.MODEL, "--expose-logits-checksum", "--kv-memory", "64M",
                                    "--context", "1024", "--disk", FOLDER, "--disk-size", "30M") as server:
            with urllib.request.urlopen(server.url + "/cache") as answer:
                held = json.load(answer)["disk"]["bytes"]
            bad += held["held"] > held["capacity"]
            for j in generator.sample(range(len(texts)), 3):
                try:
                    row = ask(server, texts[j], "So?")
                    wrong += row[4] != wanted[j]
                    read += row[3]
                except OSError:
                    failed += 1
        progress(f"{i + 1} of {count} kills: {wrong} wrong, {failed} failed, {bad} folders bad")
    yield f"{count} kills at random moments under load: {wrong} wrong answers, {failed} failed requests, {bad} folders"
    yield f"that were not whole or over their size; {read:,} tokens were read from the disk in between."


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--trace", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()

    def progress(text):
        print(f"\r{text:78}", end="", file=sys.stderr, flush=True)

    if options.kills:
        name, lines = "tier-kills", [*kills(options.kills, progress)]
    elif options.trace:
        name, lines = "tier-trace", [*replay(options.trace)]
    else:
        name = "tiers"
        lines = ["### After the process's end", "", *after_the_end(options.repeats, progress), "",
                 "### Beside too little memory", "", *beside_little_memory(progress), "",
                 "### Two servers and one store", "", *two_servers(options.repeats, progress), "",
                 "### Stores that are slow", "", *slow_stores(options.repeats, progress), "",
                 "### What it costs a step", "", *cost_of_a_step(options.repeats, progress)]
    print("", file=sys.stderr)
    shutil.rmtree(FOLDER, ignore_errors=True)
    print("\n".join(lines))
    if options.write:
        what = (f"--kills {options.kills}" if options.kills else f"--trace {options.trace.name}" if options.trace
                else f"--repeats {options.repeats}")
        command = f"bench/tiers/measure.py {what}"
        title = {"tiers": "Below memory", "tier-kills": "The cache on disk, killed",
                 "tier-trace": "A trace replayed over memory and disk"}[name]
        head = f"## {title}\n\nWritten by `{command} --write {options.write}`. {page.machine()}\n\n"
        page.replace_block(options.write, name, head + "\n".join(lines))


if __name__ == "__main__":
    main()
