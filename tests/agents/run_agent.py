#!/usr/bin/env python3
"""Plays a coding agent's conversation against a server of its own and counts what is read.

usage: tests/agents/run_agent.py [--write docs/measurements.md] [--help]

Installs @anthropic-ai/claude-code from npm into build/agents, starts the server on a free port of
127.0.0.1, and has the agent take three turns in an empty folder with an empty HOME. Figures only are
printed and kept: what the agent sends and writes goes nowhere, but for the last words of one that fails.
Needs node, npm and a built server; README.md beside this file says more.

Exit codes: 0 the promise holds, 1 it does not (a later turn read less than --least of its prompt, or
the agent or the server failed), 77 this cannot run here.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs

PACKAGE = "@anthropic-ai/claude-code"
QUESTIONS = (
    "Say hello in one word.",
    "Which files are in this folder?",
    "Thank you. Which was my first question?",
)
CANNOT_RUN = 77

# The default model, trained for 8,192 tokens, never ends a reply behind a prompt of 20,000: not once in 8,000
# tokens. A reply that is cut off the agent takes for an error. So what is served is a copy of the model
# to which a comma is the end of the text, and the agent gets short replies that have ended.
END_KEY = b"tokenizer.ggml.eos_token_id"
END_TEXT = ","
GGUF_UINT32 = 4


class CannotRun(Exception):
    pass


# -- What is run ---------------------------------------------------------------------------------


def install(version, folder):
    """The agent's program."""
    for needed in ("node", "npm"):
        if shutil.which(needed) is None:
            raise CannotRun(f"{needed} is not installed")
    program = folder / "node_modules/.bin/claude"
    stamp = folder / "version"
    if not (program.exists() and stamp.exists() and stamp.read_text() == version):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--silent",
                   f"{PACKAGE}@{version}"]
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
            raise CannotRun(f"npm could not install {PACKAGE}@{version}")
        stamp.write_text(version)
    return program


def with_quick_end(binary, model, folder):
    """A copy of the model that ends a reply at END_TEXT."""
    shown = subprocess.run([binary, "tokenize", "--model", model, "--ids"], input=END_TEXT, text=True,
                           capture_output=True, check=True).stdout
    (token,) = json.loads(shown)
    contents = bytearray(model.read_bytes())
    place = contents.find(END_KEY) + len(END_KEY)
    if place < len(END_KEY) or struct.unpack_from("<I", contents, place) != (GGUF_UINT32,):
        raise CannotRun(f"{model} does not say how a text ends")
    struct.pack_into("<I", contents, place + 4, token)
    copy = folder / model.name
    copy.write_bytes(contents)
    return copy


LOG_LINE = re.compile(r"POST /v1/messages (?P<status>\d+) (?:\S+ prompt=(?P<prompt>\d+) read=(?P<read>\d+)"
                      r" .*? ttft=(?P<ttft>[\d.]+)ms)?")


def requests_in(log):
    """One dict of numbers for each request that the server's log tells of."""
    for found in LOG_LINE.finditer(log.read_text()):
        yield {name: float(value or 0) for name, value in found.groupdict().items()}


def environment(url, home, options):
    """All that the agent sees: nothing of ours, and no address but the server's."""
    milliseconds = str(1000 * options.timeout)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TERM": "dumb",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": "local",
        "ANTHROPIC_MODEL": options.agent_model,
        "ANTHROPIC_SMALL_FAST_MODEL": options.agent_model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(options.reply_tokens),
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        # A prompt of its size takes a minute on a small machine, and with one busy otherwise many.
        "API_TIMEOUT_MS": milliseconds,
        "CLAUDE_STREAM_IDLE_TIMEOUT_MS": milliseconds,
        "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": milliseconds,
    }


def take_turn(program, question, first, folder, surroundings, timeout_s):
    """The agent's exit code; None: it took too long."""
    command = [program, *([] if first else ["-c"]), "-p", question]
    try:
        ended = subprocess.run(command, cwd=folder, env=surroundings, stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return None
    if ended.returncode != 0:
        said = (ended.stderr + ended.stdout).strip()
        print(f"the agent said: {said[-500:]}", file=sys.stderr)
    return ended.returncode


def play(options):
    """One dict of figures for each turn."""
    for path in (options.binary, options.model):
        if not path.exists():
            raise CannotRun(f"{path} is absent; ./run builds the server and fetches the model")
    agent = install(options.agent_version, options.folder)
    model = with_quick_end(options.binary, options.model, options.folder)
    turns = []
    with tempfile.TemporaryDirectory() as scratch, programs.start_reprise(
            "agent", model, "--context", options.context, "--kv-memory", options.kv_memory,
            "--retention", "2h", binary=options.binary) as server:
        home, folder = pathlib.Path(scratch, "home"), pathlib.Path(scratch, "work")
        home.mkdir()
        folder.mkdir()
        surroundings = environment(server.url, home, options)
        for number, question in enumerate(QUESTIONS, 1):
            before = len(list(requests_in(server.log)))
            code = take_turn(agent, question, number == 1, folder, surroundings, options.timeout)
            time.sleep(1)  # the last line of the log
            asked = list(requests_in(server.log))[before:]
            turns.append({
                "turn": number, "exit": code, "requests": len(asked),
                "failed": sum(request["status"] != 200 for request in asked),
                "prompt": int(sum(request["prompt"] for request in asked)),
                "read": int(sum(request["read"] for request in asked)),
                "ttft_s": max((request["ttft"] for request in asked), default=0) / 1e3})
            print(describe(turns[-1]), file=sys.stderr)
        if not server.alive():
            raise programs.DidNotStart("the server ended while it was asked")
    return turns


# -- What is said --------------------------------------------------------------------------------


def share(turn):
    return turn["read"] / turn["prompt"] if turn["prompt"] else 0.0


def describe(turn):
    return (f"turn {turn['turn']}: {turn['prompt']:,} tokens in {turn['requests']} request(s), "
            f"{100 * share(turn):.1f} % read, first token after {turn['ttft_s']:.1f} s, "
            f"exit {turn['exit']}")


def section(turns, options):
    yield "## A coding agent"
    yield ""
    yield (f"Written by `tests/agents/run_agent.py --write docs/measurements.md`: {PACKAGE} "
           f"{options.agent_version},")
    yield f"tools rendered, three turns, `--context {options.context}`."
    yield ""
    yield page.machine()
    yield ""
    rows = [(turn["turn"], turn["requests"], f"{turn['prompt']:,}", f"{turn['read']:,}",
             f"{100 * share(turn):.1f} %", f"{turn['ttft_s']:.1f}", turn["exit"]) for turn in turns]
    head = ("turn", "requests", "prompt tokens", "read", "share", "to the first token, s", "exit")
    yield from page.table(head, rows, right=range(len(head)))


def faults(turns, least):
    for turn in turns:
        if turn["exit"] != 0:
            yield f"turn {turn['turn']}: the agent ended with {turn['exit']}"
        if turn["failed"] or not turn["requests"]:
            yield f"turn {turn['turn']}: {turn['failed']} of {turn['requests']} requests failed"
        if turn["turn"] > 1 and share(turn) < least:
            yield f"turn {turn['turn']}: read {100 * share(turn):.1f} %, less than {100 * least:g} %"


def arguments():
    parser = argparse.ArgumentParser(description="a coding agent's three turns against the server")
    parser.add_argument("--agent-version", default="2.1.197", help="of the npm package")
    parser.add_argument("--agent-model", default="claude-sonnet-4-5",
                        help="what the agent thinks it speaks to; its prompts depend on that")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/agents",
                        help="where the package is installed")
    parser.add_argument("--binary", type=pathlib.Path, default=programs.REPRISE)
    parser.add_argument("--model", type=pathlib.Path, default=programs.MODEL)
    parser.add_argument("--context", default="40960")
    parser.add_argument("--kv-memory", default="2G")
    parser.add_argument("--reply-tokens", type=int, default=4000)
    parser.add_argument("--timeout", type=int, default=1800, help="seconds that a turn may take")
    parser.add_argument("--least", type=float, default=0.97, help="share that later turns must read")
    parser.add_argument("--write", type=pathlib.Path, help="the page that gets the figures")
    return parser.parse_args()


def main():
    options = arguments()
    try:
        turns = play(options)
    except CannotRun as reason:
        print(f"cannot run: {reason}", file=sys.stderr)
        return CANNOT_RUN
    except programs.DidNotStart as failure:
        print(failure, file=sys.stderr)
        return 1
    lines = list(section(turns, options))
    print("\n".join(lines))
    found = list(faults(turns, options.least))
    for fault in found:
        print(fault, file=sys.stderr)
    if options.write and not found:
        page.replace_block(options.write, "agent", "\n".join(lines))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
