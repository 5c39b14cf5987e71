#!/usr/bin/env python3
"""Measures this build beside another one, in turns: cold prompts and decoding, by instruction set.

usage: bench/server/against.py BINARY [--isa NAMES] [--repeats N] [--write FILE]

BINARY is another build of the program (git worktree, cmake --preset release). NAMES are instruction
sets by comma, such as avx512,avx2; avx_vnni:avx2 sets this build's first beside the other's second.
Each pair is asked the same in each round; ratios are of one round, and their median is shown with
the lowest and the highest. Prints Markdown; --write puts it into FILE.
"""
import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs
from measure import messages, prose
from stream import Server

CHARACTERS = {"0.5k": 2_000, "1.9k": 8_500, "3.7k": 17_000}
TOKENS = 192


def start(stack, name, binary, isa):
    program = stack.enter_context(programs.start_reprise(
        f"against-{name}", programs.MODEL, "-q", "--isa", isa, *programs.without_guesses(binary),
        binary=binary))
    return Server(program.url)


def cold(server, characters, seed):
    return server.chat(messages(prose(characters, seed), "What is this about?"))["first"]


def seconds_a_token(server, seed):
    reply = server.chat(messages(prose(300, seed), "Tell me a long story."), TOKENS, ignore_eos=True)
    return (reply["last"] - reply["first"]) / (reply["reply"] - 1)


def ratios(pair, repeats, other):
    """{what: how many times as fast this build was, by rounds}"""
    ours, _, theirs = pair.partition(":")
    found = {}
    with contextlib.ExitStack() as stack:
        servers = [start(stack, "this", programs.REPRISE, ours),
                   start(stack, "other", other, theirs or ours)]
        for server in servers:
            seconds_a_token(server, "first")
        for i in range(repeats):
            print(f"  {pair}, {i + 1} of {repeats}", flush=True)
            work = {f"cold {name}": lambda server, c=characters: cold(server, c, f"{pair} {i} {c}")
                    for name, characters in CHARACTERS.items()}
            work["decode"] = lambda server: seconds_a_token(server, f"{pair} {i}")
            for what, run in work.items():
                turns = servers if i % 2 == 0 else servers[::-1]
                seconds = {server: run(server) for server in turns}
                found.setdefault(what, []).append(seconds[servers[1]] / seconds[servers[0]])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=pathlib.Path, metavar="BINARY")
    parser.add_argument("--isa", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()
    programs.stop_on_signals()
    rows = []
    for pair in arguments.isa.split(","):
        by_work = ratios(pair, arguments.repeats, arguments.other)
        rows.append([pair.replace(":", " beside ")] + [
            f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"
            for values in by_work.values()])
        head = ["instruction set", *by_work]
    text = "\n".join(page.table(head, rows, right=range(1, len(head))))
    print("\n" + text)
    if arguments.write:
        version = subprocess.run([arguments.other, "--version"], capture_output=True, text=True)
        heading = (f"## This build beside an earlier one\n\nWritten by `bench/server/against.py BINARY --isa "
                   f"{arguments.isa} --repeats {arguments.repeats} --write {arguments.write}`, the binary being "
                   f"{version.stdout.strip()}: how many times as fast this one is, without guesses.")
        page.replace_block(arguments.write, "against", f"{heading}\n\n{page.machine()}\n\n{text}")


if __name__ == "__main__":
    main()
