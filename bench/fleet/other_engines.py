#!/usr/bin/env python3
"""Measures what `reprise route --approximate` buys before another engine: two llama-servers behind it, the same two asked
in turn, and one with the memory and the cores of both.

usage: bench/fleet/other_engines.py [--repeats N] [--write FILE] [-- LLAMA-SERVER'S OPTIONS]

bench/peers/setup.sh llama makes llama-server (b11434 wants --no-repack on processors with AMX: its kernels for it end in
an illegal instruction). Each way gets the same conversations, in turns within a run; each server its
share of the cores and of the memory for idle conversations. Figures are medians of N runs, each on texts of its own.
Prints Markdown; --write puts it into FILE.
"""
import argparse
import contextlib
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench/server")]
import page
import programs
from conversations import compare, compared
from servers import Failed

WAYS = ("one, with the memory of both", "two, asked in turn", "two, behind `reprise route --approximate`")
SLOTS, SLOT_TOKENS = 2, 4096  # of one of two
STORE_MB = 420                # of one of two, for idle conversations: ten of the twenty, and some room
SAID = """A conversation goes to where its document lies, also while the other server has nothing to do: so the router reads
more, and clients that are as few as servers wait for one another."""


@contextlib.contextmanager
def servers(count, options):
    """URLs of `count` llama-servers that together have all the cores, slots and memory."""
    parts = 2 // count
    cores = max(1, len(os.sched_getaffinity(0)) // count)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(programs.start_llama(
            f"engines-llama-{i}", programs.MODEL, "-t", cores, "-np", SLOTS * parts, "-c", SLOTS * SLOT_TOKENS * parts,
            "--cache-ram", STORE_MB * parts, *options)).url for i in range(count)]


@contextlib.contextmanager
def way(name, options):
    """The URLs to ask, in turn."""
    with contextlib.ExitStack() as stack:
        urls = stack.enter_context(servers(1 if name == WAYS[0] else 2, options))
        if name != WAYS[2]:
            yield urls
            return
        with programs.start_router("engines-router", None, urls, "--approximate") as router:
            yield [router.url]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("options", nargs="*", help="of llama-server, behind --")
    options = parser.parse_args()
    programs.stop_on_signals()
    found = compare(WAYS, lambda name: way(name, options.options), options.repeats, programs.show_progress)
    text = "\n".join([*compared("llama-server", found), "", SAID])
    print("\n" + text)
    if options.write:
        more = " ".join(["", "--", *options.options]) if options.options else ""
        heading = (f"## Before another engine\n\nWritten by `bench/fleet/other_engines.py --repeats {options.repeats} "
                   f"--write {options.write}{more}`: medians of {options.repeats} run{'s' * (options.repeats > 1)}.")
        page.replace_block(options.write, "other-engines", f"{heading}\n\n{page.machine()}\n\n{text}")


if __name__ == "__main__":
    try:
        main()
    except (programs.DidNotStart, Failed) as error:
        sys.exit(f"other_engines.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
