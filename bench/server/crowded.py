#!/usr/bin/env python3
"""Measures decoding beside processes that want the same cores: one, and four for each CPU.

usage: bench/server/crowded.py [--repeats N] [--against BINARY] [--write FILE] [-- SERVER OPTIONS]

Starts the server on the default model; each round decodes alone, beside one busy process, and beside
many; --against has another build of the program take turns with this one. Figures are medians, and
shares of what was decoded alone in the same round. Prints Markdown; --write puts it into FILE.
"""
import argparse
import contextlib
import multiprocessing
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs
from stream import Server

TOKENS = 256
CPUS = len(os.sched_getaffinity(0))
BESIDE = (0, 1, 4 * CPUS)


def busy():
    while True:
        pass


@contextlib.contextmanager
def busy_processes(count):
    """Each of them wants a whole core; all have begun to run."""
    processes = [multiprocessing.Process(target=busy, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    time.sleep(0.3)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def decoded(server):
    """Tokens a second of a reply, from its first to its last."""
    reply = server.chat([{"role": "user", "content": "Tell me a long story."}], TOKENS,
                        ignore_eos=True)
    return (reply["reply"] - 1) / (reply["last"] - reply["first"])


def measure(servers, repeats):
    """{name: {busy processes: [tokens a second]}}"""
    rates = {name: {count: [] for count in BESIDE} for name in servers}
    for server in servers.values():
        decoded(server)
    for i in range(repeats):
        for count in BESIDE:
            print(f"  beside {count} busy processes, {i + 1} of {repeats}", flush=True)
            with busy_processes(count):
                for name, server in servers.items():
                    rates[name][count].append(decoded(server))
    return rates


def fair_share(count):
    """Of CPUS cores, for as many threads, beside `count` that want one each."""
    return CPUS / (CPUS + count)


def report(rates):
    rows = []
    for name, by_count in rates.items():
        for count, values in by_count.items():
            shares = [value / alone for value, alone in zip(values, by_count[0])]
            rows.append([name, count, f"{statistics.median(values):,.0f}",
                         f"{statistics.median(shares):.2f}", f"{fair_share(count):.2f}"])
    return "\n".join(page.table(
        ["program", "busy processes", "tokens/s", "of alone", "fair share"], rows, right=range(1, 5)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--against", type=pathlib.Path, help="another build, in turns with this one")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("options", nargs="*", help="of the server, behind --")
    arguments = parser.parse_args()
    programs.stop_on_signals()
    with contextlib.ExitStack() as stack:
        servers = {}
        # Without guesses: every reply is the same. In our session, as the busy processes are: Linux
        # may share CPUs out by sessions first.
        for name, binary in (("this", programs.REPRISE), ("other", arguments.against)):
            if binary:
                program = stack.enter_context(programs.start_reprise(
                    f"crowded-{name}", programs.MODEL, "-q", *programs.without_guesses(binary),
                    *arguments.options, binary=binary, start_new_session=False))
                servers[name] = Server(program.url)
        text = report(measure(servers, arguments.repeats))
    print("\n" + text)
    if arguments.write:
        heading = ("## Decoding beside others\n\nWritten by `bench/server/crowded.py --repeats "
                   f"{arguments.repeats} --write {arguments.write}`; {TOKENS} tokens a reply, medians. Fair "
                   "share: what as many threads as CPUs get beside processes that want one each.")
        page.replace_block(arguments.write, "crowded", f"{heading}\n\n{page.machine()}\n\n{text}")


if __name__ == "__main__":
    main()
