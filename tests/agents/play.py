#!/usr/bin/env python3
"""Coding agents do ten turns of real work against a server whose replies are written beforehand.

usage: tests/agents/play.py [--agent claude codex opencode] [--reserialise] [--write docs/clients.md] [--help]

A small model cannot drive an agent, so what it "says" is a script (tests/app/scripted_main.cc): the tokens are
sampled as ever, all others being forbidden. Everything else is real: the agent, its prompts of thousands of
tokens, its tools, the wire, the prompt cache. The agent lists a folder, reads two files, runs a test that fails,
mends the file, runs the test again, and so on; at the end the file must be right, and from the second turn on at
least 99 % of what the server could know of each prompt must have been read from its cache.

--reserialise puts a relay between agent and server that writes every call in the agent's history in another way:
keys in another order, other spaces. Nothing may change.

Packages come from npm into build/agents; versions are fixed below. Exit codes: 0 all holds, 1 something does
not, 77 it cannot run here.
"""
import argparse
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs

SCRIPTED = ROOT / "build/release/tests/app/reprise_scripted"
CANNOT_RUN = 77
TASK = "The test in this folder fails. Please find out why, mend it and tell me."
WRONG = 'def greet(name):\n    return "Hello, " + nam\n'
RIGHT = 'def greet(name):\n    return "Hello, " + name\n'
TEST = 'from greet import greet\n\nassert greet("Ada") == "Hello, Ada"\nprint("passed")\n'
NOTE = "The name was misspelt: é, ü and \"quotes\" are kept.\n"


class CannotRun(Exception):
    pass


def call(name, arguments):
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n</tool_call>"


class Claude:
    package, version, program = "@anthropic-ai/claude-code", "2.1.197", "claude"
    path = "/v1/messages"

    def run(self, command):
        return call("Bash", {"command": command, "description": "Run it"})

    def read(self, file):
        return call("Read", {"file_path": str(file)})

    def edit(self, file, old, new):
        return call("Edit", {"file_path": str(file), "old_string": old, "new_string": new})

    def write(self, file, text):
        return call("Write", {"file_path": str(file), "content": text})

    def start(self, program, url, home):
        seconds = str(1000 * 1800)
        tools = ["Bash", "Read", "Edit", "Write"]
        return [program, "-p", TASK, "--allowedTools", *tools], {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_AUTH_TOKEN": "local",
            "ANTHROPIC_MODEL": "claude-sonnet-4-5",
            "ANTHROPIC_SMALL_FAST_MODEL": "claude-sonnet-4-5",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "2000",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_AUTOUPDATER": "1",
            "API_TIMEOUT_MS": seconds,
            "CLAUDE_STREAM_IDLE_TIMEOUT_MS": seconds,
            "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": seconds,
        }


class Codex:
    package, version, program = "@openai/codex", "0.171.0", "codex"
    path = "/v1/responses"

    def run(self, command):
        return call("exec_command", {"cmd": command})

    def read(self, file):
        return self.run(f"cat {file}")

    def edit(self, file, old, new):
        return self.run(f"sed -i 's/{old}/{new}/' {file}")

    def write(self, file, text):
        return self.run(f"cat > {file} <<'END'\n{text}END")

    def start(self, program, url, home):
        folder = home / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(
            f'model = "m"\nmodel_provider = "local"\nmodel_context_window = 40960\n'
            f'[model_providers.local]\nname = "local"\nbase_url = "{url}/v1"\nwire_api = "responses"\n'
            f"request_max_retries = 0\nstream_max_retries = 0\nstream_idle_timeout_ms = 1800000\n"
        )
        command = [program, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", TASK]
        return command, {"CODEX_HOME": str(folder)}


class OpenCode:
    package, version, program = "opencode-ai", "1.18.33", "opencode"
    path = "/v1/chat/completions"

    def run(self, command):
        return call("bash", {"command": command, "description": "Run it"})

    def read(self, file):
        return call("read", {"filePath": str(file)})

    def edit(self, file, old, new):
        return call("edit", {"filePath": str(file), "oldString": old, "newString": new})

    def write(self, file, text):
        return call("write", {"filePath": str(file), "content": text})

    def start(self, program, url, home):
        folder = home / ".config/opencode"
        folder.mkdir(parents=True)
        (folder / "opencode.json").write_text(json.dumps({
            "provider": {"local": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "local",
                "options": {"baseURL": url + "/v1", "apiKey": "none", "timeout": False},
                "models": {"m": {"name": "m", "limit": {"context": 40960, "output": 2000}}},
            }},
            "permission": {"bash": "allow", "edit": "allow", "external_directory": "allow"},
            "autoupdate": False,
            "share": "disabled",
        }))
        return [program, "run", "-m", "local/m", TASK], {"OPENCODE_DISABLE_MODELS_FETCH": "1"}


AGENTS = {"claude": Claude, "codex": Codex, "opencode": OpenCode}


def turns_of(agent, work):
    """Ten replies: nine that call a tool, one that says what was done."""
    greet, test, note = work / "greet.py", work / "test_greet.py", work / "NOTES.md"
    return [
        "Let me look at the folder.\n" + agent.run("ls"),
        agent.read(greet),
        agent.read(test),
        "I run the test.\n" + agent.run("python3 test_greet.py"),
        "The name is misspelt.\n" + agent.edit(greet, "nam$" if isinstance(agent, Codex) else "+ nam\n",
                                               "name" if isinstance(agent, Codex) else "+ name\n"),
        agent.run("python3 test_greet.py"),
        agent.write(note, NOTE),
        agent.read(note),
        agent.run("cat greet.py && ls"),
        "The name was misspelt in greet.py; the test passes now.",
    ]


# -- What is run ---------------------------------------------------------------------------------


def install(agent, folder):
    for needed in ("node", "npm"):
        if shutil.which(needed) is None:
            raise CannotRun(f"{needed} is not installed")
    place = folder / f"{agent.program}-{agent.version}"
    program = place / "node_modules/.bin" / agent.program
    if not program.exists():
        place.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", place, "--no-audit", "--no-fund", "--silent",
                   f"{agent.package}@{agent.version}"]
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
            raise CannotRun(f"npm could not install {agent.package}@{agent.version}")
    return program


def rewritten(value):
    """The same calls, written otherwise: what a client that keeps objects, not texts, would send."""
    if isinstance(value, list):
        return [rewritten(each) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {key: rewritten(each) for key, each in value.items()}
    if changed.get("type") == "tool_use" and isinstance(changed.get("input"), dict):
        changed["input"] = dict(reversed(changed["input"].items()))
    if isinstance(changed.get("arguments"), str):
        with contextlib.suppress(ValueError):
            changed["arguments"] = json.dumps(dict(reversed(json.loads(changed["arguments"]).items())), indent=1)
    return changed


@contextlib.contextmanager
def relay(port):
    """Between an agent and the server: rewrites calls in what is asked, passes on what is answered."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if body:
                body = json.dumps(rewritten(json.loads(body))).encode()
            headers = {name: value for name, value in self.headers.items()
                       if name.lower() not in ("content-length", "host", "connection")}
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=1800)
            upstream.request(self.command, self.path, body, headers)
            reply = upstream.getresponse()
            self.send_response(reply.status)
            for name, value in reply.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := reply.read1(65536):
                self.wfile.write(piece)
                self.wfile.flush()
            self.close_connection = True

        do_POST = do_GET = do_HEAD = pass_on

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


LOG_LINE = re.compile(r"POST (?P<path>\S+) (?P<status>\d+) \S+ prompt=(?P<prompt>\d+) read=(?P<read>\d+).*?"
                      r" generated=(?P<generated>\d+)")


def requests_in(log, path):
    for found in LOG_LINE.finditer(log.read_text()):
        if found["path"] == path:
            yield {name: int(found[name]) for name in ("status", "prompt", "read", "generated")}


def play(name, options):
    """The agent's figures, with what is wrong under "faults"."""
    agent = AGENTS[name]()
    program = install(agent, options.folder)
    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(programs.start_reprise(
            f"agent-{name}", options.model, "--context", options.context, "--kv-memory", options.kv_memory,
            "--default-max-tokens", "16", binary=options.binary))
        home, work = scratch / "home", scratch / "work"
        home.mkdir()
        work.mkdir()
        (work / "greet.py").write_text(WRONG)
        (work / "test_greet.py").write_text(TEST)
        replies = turns_of(agent, work)
        body = json.dumps({"replies": replies, "for_tools": True}).encode()
        urllib.request.urlopen(urllib.request.Request(
            server.url + "/test/script", body, {"Content-Type": "application/json"})).read()
        port = int(server.url.rsplit(":", 1)[1])
        url = stack.enter_context(relay(port)) if options.reserialise else server.url
        command, settings = agent.start(program, url, home)
        surroundings = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", **settings}
        began = time.monotonic()
        ended = subprocess.run(command, cwd=work, env=surroundings, stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=options.timeout)
        took = time.monotonic() - began
        time.sleep(1)  # the last line of the log
        asked = [each for each in requests_in(server.log, agent.path) if each["generated"] > 0]
        faults = []
        if ended.returncode != 0:
            faults.append(f"the agent ended with {ended.returncode}: {(ended.stderr + ended.stdout)[-800:]}")
        if (work / "greet.py").read_text() != RIGHT:
            faults.append("greet.py is not right")
        if not (work / "NOTES.md").exists() or (work / "NOTES.md").read_text() != NOTE:
            faults.append("NOTES.md is not as it was written")
        if replies[-1] not in ended.stdout:
            faults.append(f"the last words are missing: {ended.stdout[-300:]}")
        # The longest prompts are the conversation's; agents ask small things beside.
        longest = max((each["prompt"] for each in asked), default=0)
        turns = [each for each in asked if each["prompt"] > longest / 3]
        if len(turns) != len(replies):
            faults.append(f"{len(turns)} turns, not {len(replies)}")
        shares = [later["read"] / (before["prompt"] + before["generated"])
                  for before, later in zip(turns, turns[1:])]
        if shares and min(shares) < options.least:
            faults.append(f"a turn read {100 * min(shares):.2f} % of what was known")
        return {"agent": f"{agent.package} {agent.version}", "path": agent.path, "turns": len(turns),
                "first": turns[0]["prompt"] if turns else 0, "last": longest,
                "least": min(shares, default=0.0), "seconds": took, "faults": faults,
                "output": ended.stdout[-2000:] + ended.stderr[-2000:]}


def section(played, options):
    yield "## Coding agents"
    yield ""
    yield "Written by `tests/agents/play.py --write docs/clients.md`: ten scripted turns of real work each. \"Known\" is what"
    yield "the server could know of a prompt: the turn before and its reply."
    yield ""
    yield page.machine()
    yield ""
    rows = [(each["agent"], each["path"], "rewritten" if rewrites else "as they come", each["turns"],
             f"{each['first']:,}", f"{each['last']:,}", f"{100 * each['least']:.2f} %",
             "no" if each["faults"] else "yes") for rewrites, each in played]
    head = ("agent", "path", "calls in its history", "turns", "first prompt", "last prompt",
            "least read of what was known", "the file is right")
    yield from page.table(head, rows, right=(3, 4, 5, 6))


def arguments():
    parser = argparse.ArgumentParser(description="coding agents' scripted turns against the server")
    parser.add_argument("--agent", nargs="*", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--reserialise", action="store_true", help="calls come back written otherwise")
    parser.add_argument("--both", action="store_true", help="with --reserialise and without")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/agents",
                        help="where the packages are installed")
    parser.add_argument("--binary", type=pathlib.Path, default=SCRIPTED)
    parser.add_argument("--model", type=pathlib.Path, default=programs.MODEL)
    parser.add_argument("--context", default="49152")
    parser.add_argument("--kv-memory", default="3G")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds that an agent may take")
    parser.add_argument("--least", type=float, default=0.99, help="share of what was known that turns must read")
    parser.add_argument("--verbose", action="store_true", help="what the agents say")
    parser.add_argument("--write", type=pathlib.Path, help="the page that gets the figures")
    return parser.parse_args()


def main():
    options = arguments()
    played = []
    try:
        for path in (options.binary, options.model):
            if not path.exists():
                raise CannotRun(f"{path} is absent; ./test unit builds it")
        for rewrites in (False, True) if options.both else (options.reserialise,):
            options.reserialise = rewrites
            for name in options.agent:
                played.append((rewrites, play(name, options)))
                each = played[-1][1]
                print(f"{name}: {each['turns']} turns, {each['first']:,} to {each['last']:,} tokens, at least "
                      f"{100 * each['least']:.2f} % of what was known was read, {each['seconds']:.0f} s",
                      file=sys.stderr)
                if options.verbose or each["faults"]:
                    print(each["output"], file=sys.stderr)
                for fault in each["faults"]:
                    print(f"{name}: {fault}", file=sys.stderr)
    except CannotRun as reason:
        print(f"cannot run: {reason}", file=sys.stderr)
        return CANNOT_RUN
    lines = list(section(played, options))
    print("\n".join(lines))
    found = any(each["faults"] for _, each in played)
    if options.write and not found:
        page.replace_block(options.write, "agents", "\n".join(lines))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
