#!/usr/bin/env python3
"""Which client does what with this server: every client's script in tries/, every case.

usage: tests/clients/matrix.py [--write docs/clients.md] [--help]

`./test clients` installs the clients, each with what it needs in a virtual environment of its own, because they
want different versions of each other; this page's table then takes two minutes. Exit codes: 0 all work, 1 one
does not, 77 it cannot run here.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTED = ROOT / "build/release/tests/app/reprise_scripted"
SERVER_OPTIONS = ("--chat-template", HERE / "thinker.jinja", "--default-max-tokens", "500")
CASES = ("chat", "stream", "tools", "forced", "schema", "thinking", "cached")
CANNOT_RUN = 77

# name of the script: (its environment, the packages whose versions are told, what it speaks)
PYTHON = {
    "openai_chat": ("base", ("openai",), "chat"),
    "openai_responses": ("base", ("openai",), "responses"),
    "anthropic_messages": ("base", ("anthropic",), "messages"),
    "litellm_both": ("base", ("litellm",), "chat, messages"),
    "langchain_both": ("base", ("langchain-openai", "langchain-anthropic"), "chat, responses, messages"),
    "llama_index_like": ("llama-index", ("llama-index-llms-openai-like",), "chat"),
    "pydantic_ai_both": ("pydantic-ai", ("pydantic-ai-slim",), "chat, responses, messages"),
    "openai_agents": ("openai-agents", ("openai-agents",), "responses, chat"),
    "instructor_both": ("instructor", ("instructor",), "chat, messages"),
    "aider_program": ("aider", ("aider-chat",), "chat"),
}
NODE = {"ai": "6.0.326", "@ai-sdk/openai": "3.0.141", "@ai-sdk/openai-compatible": "2.0.92",
        "@ai-sdk/anthropic": "3.0.140", "zod": "4.6.7"}
AI_SDK = "ai_sdk"
CLIENTS = (*PYTHON, AI_SDK)


class CannotRun(Exception):
    pass


def python_of(script):
    program = ROOT / "build/clients" / PYTHON[script][0] / "bin/python"
    if not program.exists():
        raise CannotRun(f"{program} is absent; ./test clients installs it")
    return program


def node_modules():
    if shutil.which("npm") is None:
        raise CannotRun("npm is not installed")
    folder = ROOT / "build/clients/ai-sdk"
    stamp = folder / "versions"
    wanted = [f"{name}@{version}" for name, version in NODE.items()]
    if not stamp.exists() or stamp.read_text() != " ".join(wanted):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--silent", *wanted]
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
            raise CannotRun("npm could not install the AI SDK")
        stamp.write_text(" ".join(wanted))
    return folder


def try_client(script, url):
    """Each case: true, or what failed."""
    if script == AI_SDK:
        command = ["node", HERE / "tries/ai_sdk.mjs", url, node_modules()]
    else:
        command = [python_of(script), HERE / "tries" / f"{script}.py", url]
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600,
                           stdin=subprocess.DEVNULL)
    try:
        return json.loads(ended.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"chat": f"the script ended with {ended.returncode}: {ended.stderr[-2000:]}"}


def versions_of(script):
    if script == AI_SDK:
        return ", ".join(f"{name} {version}" for name, version in NODE.items() if name != "zod")
    code = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    command = [python_of(script), "-c", code, *PYTHON[script][1]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def speaks(script):
    return "responses, chat, messages" if script == AI_SDK else PYTHON[script][2]


def section(results):
    yield "## Client libraries"
    yield ""
    yield "Written by `tests/clients/matrix.py --write docs/clients.md`, after `./test clients` has installed them. What a"
    yield "client does not have is left empty."
    yield ""
    rows = []
    for script, cases in results.items():
        marks = ["" if case not in cases else "yes" if cases[case] is True else "**no**" for case in CASES]
        rows.append((versions_of(script), speaks(script), *marks))
    head = ("client", "speaks", "chat", "stream", "tools", "forced call", "schema", "thinking", "cached counts")
    yield from page.table(head, rows, right=())


def main():
    parser = argparse.ArgumentParser(description="every client, every case")
    parser.add_argument("--write", type=pathlib.Path, help="the page that gets the table")
    parser.add_argument("--client", nargs="*", choices=CLIENTS, default=CLIENTS)
    options = parser.parse_args()
    try:
        with programs.start_reprise("clients", programs.MODEL, *SERVER_OPTIONS, binary=SCRIPTED) as server:
            results = {script: try_client(script, server.url) for script in options.client}
    except CannotRun as reason:
        print(f"cannot run: {reason}", file=sys.stderr)
        return CANNOT_RUN
    lines = list(section(results))
    print("\n".join(lines))
    failed = [(script, case, what) for script, cases in results.items() for case, what in cases.items()
              if what is not True]
    for script, case, what in failed:
        print(f"{script}, {case}: {what}", file=sys.stderr)
    if options.write and not failed:
        page.replace_block(options.write, "clients", "\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
