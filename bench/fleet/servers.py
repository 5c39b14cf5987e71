"""What bench/fleet/steps.py runs on one machine in place of several: servers with half of its cores each, a router, a
redis-server; and a request to them, measured."""
import contextlib
import http.client
import json
import os
import pathlib
import sys
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import programs

FOLDER = ROOT / "build/bench/steps"
SETTLE_SECONDS = 30  # for what is written behind a reply's back


class Failed(Exception):
    """A request that got no whole reply of status 200."""


def ask(url, messages, max_tokens=1, timeout=120):
    """One request on a connection of its own: its first token's seconds, tokens and text; Failed if there is no reply."""
    address = urllib.parse.urlparse(url)
    body = {"model": "m", "messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}}
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)
    begin, first, text, usage = time.perf_counter(), None, "", None
    try:
        with contextlib.closing(connection):
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise Failed(f"{response.status}: {response.read(300)!r}")
            for line in response:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                usage = event.get("usage") or usage
                for choice in event.get("choices", []):
                    text += choice["delta"].get("content") or ""
                    if first is None and (text or choice.get("finish_reason")):
                        first = time.perf_counter() - begin
    except (OSError, http.client.HTTPException) as error:
        raise Failed(repr(error)) from error
    if usage is None:
        raise Failed("the stream ended early")
    return {"seconds": first, "prompt": usage["prompt_tokens"], "text": text,
            "read": usage["prompt_tokens_details"]["cached_tokens"],
            "replica": response.headers.get("x-reprise-replica")}


def about(document, question):
    return [{"role": "system", "content": document}, {"role": "user", "content": question}]


def get(url, path):
    address = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


class Replica:
    """A server at a port that it keeps over its restarts."""

    def __init__(self, name, *options):
        self.name, self.options, self.port = name, options, programs.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.program = programs.Program(f"steps-{self.name}", [
            programs.REPRISE, "serve", "--model", programs.MODEL, "--port", self.port, *self.options])
        wait_until(lambda: healthy(self.url), f"{self.name} is there", self.program)
        ask(self.url, about("Be brief.", "Say yes."), 4)  # the first request of a process is slower

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.stop()

    def kill(self):
        self.program.process.kill()
        self.program.process.wait()

    def written(self, tier):
        return json.loads(get(self.url, "/cache")[1])[tier]["counters"]["written_blocks"]


def healthy(url):
    try:
        return get(url, "/health")[0] == 200
    except OSError:
        return False


def wait_until(met, what, program=None, seconds=120):
    until = time.monotonic() + seconds
    while not met():
        if program and not program.alive():
            program.fail("ended")
        if time.monotonic() > until:
            sys.exit(f"steps.py: not within {seconds} s: {what}")
        time.sleep(0.02)


def settle(count):
    """Until `count`() has not changed for a second: what is written in the background is."""
    last, since = count(), time.monotonic()
    until = since + SETTLE_SECONDS
    while time.monotonic() < min(until, since + 1):
        if (now := count()) != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)


def halves():
    """Options that give each of two servers half of the cores."""
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    for part in (cores[:half], cores[half:] or cores):
        yield ("--cpus", ",".join(map(str, part)), "--threads", str(len(part)))


@contextlib.contextmanager
def two(*options, each=lambda i: ()):
    """Two servers and a router before them."""
    with contextlib.ExitStack() as stack:
        replicas = [stack.enter_context(Replica(f"replica-{i}", *half, *options, *each(i)))
                    for i, half in enumerate(halves())]
        router = stack.enter_context(programs.start_router("steps-router", programs.MODEL, [r.url for r in replicas]))
        yield replicas, router
        # Stopped here, and not last of all: what it follows would wait for it.
        router.stop()
