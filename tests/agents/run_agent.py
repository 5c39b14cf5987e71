#!/usr/bin/env python3
"""Plays a coding agent's conversation against a server of its own and counts what is read.

usage: tests/agents/run_agent.py [--write docs/measurements.md] [--help]

Installs @anthropic-ai/claude-code from npm into build/agents, starts the server on a free port of
127.0.0.1, and has the agent take three turns in an empty folder with an empty HOME. Figures only are
printed and kept: what the agent writes goes nowhere. Needs node, npm and a built server; Python's
standard library only.

Exit codes: 0 the promise holds, 1 it does not (a later turn read less than --least of its prompt, or
the agent or the server failed), 77 this cannot run here.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "@anthropic-ai/claude-code"
QUESTIONS = (
    "Say hello in one word.",
    "Which files are in this folder?",
    "Thank you. Which was my first question?",
)
CANNOT_RUN = 77
HEADING = "## A coding agent"

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


class Server:
    """A running server. `requests` are the completions that its log has told of."""

    LINE = re.compile(r"POST /v1/messages (?P<status>\d+) \S+ prompt=(?P<prompt>\d+) read=(?P<read>\d+)"
                      r" .*? ttft=(?P<ttft>[\d.]+)ms")

    def __init__(self, binary, model, options):
        self.requests, self.refused, self.log = [], [], []
        command = [binary, "serve", "--model", model, "--port", "0", *options]
        self.process = subprocess.Popen([str(part) for part in command], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        for line in self.process.stdout:
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
            if found:
                self.url = found.group(1)
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return
        self.process.wait()
        raise RuntimeError("the server did not start:\n" + "".join(self.log[-5:]))

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line)
            found = self.LINE.search(line)
            if found:
                self.requests.append({name: float(value) for name, value in found.groupdict().items()})
            elif re.search(r"POST /v1/messages [45]\d\d ", line):
                self.refused.append(line.strip())

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(timeout=60)
        finally:
            self.process.kill()


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
    program = install(options.agent_version, options.folder)
    for path in (options.binary, options.model):
        if not path.exists():
            raise CannotRun(f"{path} is absent; ./run builds the server and fetches the model")
    server = Server(options.binary, with_quick_end(options.binary, options.model, options.folder),
                    ["--context", options.context, "--kv-memory", options.kv_memory,
                     "--retention", "2h"])
    turns = []
    try:
        with tempfile.TemporaryDirectory() as scratch:
            home, folder = pathlib.Path(scratch, "home"), pathlib.Path(scratch, "work")
            home.mkdir()
            folder.mkdir()
            surroundings = environment(server.url, home, options)
            for number, question in enumerate(QUESTIONS, 1):
                before = len(server.requests)
                begin = time.monotonic()
                code = take_turn(program, question, number == 1, folder, surroundings,
                                 options.timeout)
                seconds = time.monotonic() - begin
                time.sleep(1)  # the last lines of the log
                asked = server.requests[before:]
                turns.append({
                    "turn": number, "exit": code, "seconds": seconds, "requests": len(asked),
                    "prompt": int(sum(r["prompt"] for r in asked)),
                    "read": int(sum(r["read"] for r in asked)),
                    "ttft_s": max((r["ttft"] for r in asked), default=0) / 1e3,
                    "failed": sum(r["status"] != 200 for r in asked)})
                print(describe(turns[-1]), file=sys.stderr)
    finally:
        code = server.stop()
    if code != 0 or server.refused:
        raise RuntimeError(f"the server ended with {code} and refused: {server.refused[:5]}")
    return turns


# -- What is said --------------------------------------------------------------------------------


def share(turn):
    return turn["read"] / turn["prompt"] if turn["prompt"] else 0.0


def describe(turn):
    return (f"turn {turn['turn']}: {turn['prompt']:,} tokens in {turn['requests']} request(s), "
            f"{100 * share(turn):.1f} % read, first token after {turn['ttft_s']:.1f} s, "
            f"exit {turn['exit']}")


def machine():
    names = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(names) or os.cpu_count()} cores"


def section(turns, options):
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, text=True,
                            capture_output=True).stdout.strip()
    yield HEADING
    yield ""
    yield (f"Written by `tests/agents/run_agent.py --write docs/measurements.md`: {PACKAGE} "
           f"{options.agent_version}, tools rendered, `--context {options.context}`, three turns.")
    yield f"{machine()}; commit {commit}; {time.strftime('%Y-%m-%d')}"
    yield ""
    yield "| turn | requests | prompt tokens | read | share | to the first token, s | exit |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for turn in turns:
        yield (f"| {turn['turn']} | {turn['requests']} | {turn['prompt']:,} | {turn['read']:,} "
               f"| {100 * share(turn):.1f} % | {turn['ttft_s']:.1f} | {turn['exit']} |")


def write_section(path, lines):
    """Puts the section in place of the one that the page has, or at its end."""
    page = path.read_text() if path.exists() else ""
    before, found, rest = page.partition(HEADING + "\n")
    following = re.search(r"^## ", rest, re.M)
    after = "\n" + rest[following.start():] if found and following else ""
    path.write_text(before.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n" + after)


def faults(turns, least):
    for turn in turns:
        if turn["exit"] != 0:
            yield f"turn {turn['turn']}: the agent ended with {turn['exit']}"
        if turn["failed"] or not turn["requests"]:
            yield f"turn {turn['turn']}: {turn['failed']} of {turn['requests']} requests failed"
        if turn["turn"] > 1 and share(turn) < least:
            yield f"turn {turn['turn']}: read {100 * share(turn):.1f} %, less than {100 * least:g} %"


def arguments():
    model = os.environ.get("REPRISE_MODEL", ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf")
    binary = os.environ.get("REPRISE_BIN", ROOT / "build/release/src/app/reprise")
    parser = argparse.ArgumentParser(description="a coding agent's three turns against the server")
    parser.add_argument("--agent-version", default="2.1.197", help="of the npm package")
    parser.add_argument("--agent-model", default="claude-sonnet-4-5",
                        help="what the agent thinks it speaks to; its prompts depend on that")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/agents",
                        help="where the package is installed")
    parser.add_argument("--binary", type=pathlib.Path, default=binary)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path(model))
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
    except RuntimeError as failure:
        print(failure, file=sys.stderr)
        return 1
    lines = list(section(turns, options))
    print("\n".join(lines))
    found = list(faults(turns, options.least))
    for fault in found:
        print(fault, file=sys.stderr)
    if options.write and not found:
        write_section(options.write, lines)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
