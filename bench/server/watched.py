#!/usr/bin/env python3
"""Measures what watching a server costs: first token, cold and cached, and tokens a second, with one
watcher and without, in turns.

usage: bench/server/watched.py [--rounds N] [--browser] [--write FILE] [-- SERVER OPTIONS]

The watcher is a plain client of GET /cache/watch; with --browser it is the server's page in chromium
(python-playwright), which is open on an empty page meanwhile. Figures are medians, and the median of
the rounds' ratios. Prints Markdown; --write puts it into FILE. Twelve rounds take about a minute.
"""
import argparse
import contextlib
import http.client
import os
import pathlib
import random
import re
import shutil
import statistics
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs
from stream import Server

PARAGRAPHS = re.split(r"\n\s*\n", pathlib.Path("/usr/share/common-licenses/GPL-3").read_text())
CHARACTERS = 4_000  # of a prompt
CACHED = 5          # requests a turn: one takes a few milliseconds
TOKENS = 96
HEAD = ("", "alone", "watched", "watched / alone")
WORDS = {"cold": "first token, cold, ms", "cached": "first token, cached, ms", "speed": "tokens/s"}


@contextlib.contextmanager
def client(url):
    """Reads all that it is told."""
    host = url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("GET", "/cache/watch")
    response = connection.getresponse()
    response.readline()  # of the first sample
    stopped = threading.Event()

    def read():
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while not stopped.is_set() and response.readline():
                pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield
    stopped.set()  # the next sample comes within a second
    thread.join()
    connection.close()


@contextlib.contextmanager
def browser_watching():
    """A watcher as `client` is, in a browser that stays open between turns."""
    from playwright.sync_api import sync_playwright
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        tab = browser.new_page()

        @contextlib.contextmanager
        def watch(url):
            with tab.expect_response("**/cache/watch"):
                tab.goto(url)
            tab.wait_for_timeout(1500)  # what the page asks at its beginning is answered
            yield
            tab.goto("about:blank")

        yield watch
        browser.close()


def turn(server, seed):
    """{what: figure} of a document that was never asked before."""
    paragraphs = random.Random(seed).sample(PARAGRAPHS, len(PARAGRAPHS))
    document = f"Document {seed}.\n\n" + "\n\n".join(paragraphs)[:CHARACTERS]

    def ask(question, tokens=1):
        return server.chat([{"role": "system", "content": document},
                            {"role": "user", "content": question}], tokens, ignore_eos=True)

    cold = ask("What is this about?")["first"]
    cached = [ask(f"What is said in section {i}?")["first"] for i in range(CACHED)]
    reply = ask("Tell me more.", TOKENS)
    return {"cold": 1e3 * cold, "cached": 1e3 * statistics.median(cached),
            "speed": (reply["reply"] - 1) / (reply["last"] - reply["first"])}


def measure(url, watch, rounds):
    """[(alone, watched)]: figures of each round."""
    server = Server(url)
    turn(server, random.getrandbits(40))
    results = []
    for i in range(rounds):
        print(f"  round {i + 1} of {rounds}", flush=True)
        both = {}
        for watched in (i % 2 == 0, i % 2 != 0):  # neither is always the first
            with watch(url) if watched else contextlib.nullcontext():
                both[watched] = turn(server, random.getrandbits(40))
        results.append((both[False], both[True]))
    return results


def report(results):
    rows = []
    for what, words in WORDS.items():
        alone, watched = ([each[i][what] for each in results] for i in range(2))
        ratio = statistics.median(w / a for a, w in zip(alone, watched))
        rows.append([words, f"{statistics.median(alone):,.1f}", f"{statistics.median(watched):,.1f}",
                     f"{ratio:.3f}"])
    return "\n".join(page.table(HEAD, rows, right=range(1, 4)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--browser", action="store_true", help="the page in chromium watches")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("options", nargs="*", help="of the server, behind --")
    arguments = parser.parse_args()
    programs.stop_on_signals()
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(browser_watching()) if arguments.browser else client
        program = stack.enter_context(programs.start_reprise(
            "watched", programs.MODEL, "-q", *programs.without_guesses(programs.REPRISE),
            *arguments.options))
        text = report(measure(program.url, watch, arguments.rounds))
    print("\n" + text)
    if arguments.write:
        which = "--browser " if arguments.browser else ""
        who = "the page in chromium" if arguments.browser else "a plain client of `GET /cache/watch`"
        heading = (f"## While somebody watches\n\nWritten by `bench/server/watched.py {which}--rounds "
                   f"{arguments.rounds} --write {arguments.write}`; the watcher is {who}. Medians, and the "
                   "median of the rounds' ratios.")
        page.replace_block(arguments.write, "watched", f"{heading}\n\n{page.machine()}\n\n{text}")


if __name__ == "__main__":
    main()
