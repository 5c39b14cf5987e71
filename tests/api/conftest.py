"""Starts the built server on a free port of 127.0.0.1 and talks to it.

REPRISE_BIN names the program (default build/release/src/app/reprise), REPRISE_CLOCKED_BIN the same with a
clock that tests move (default build/release/tests/app/reprise_clocked), REPRISE_SCRIPTED_BIN the one whose replies
they write (default build/release/tests/app/reprise_scripted), REPRISE_MODEL the model. REPRISE_BEHIND=router puts
`reprise route` before each server, so that all requests go through it.
"""

import atexit
import contextlib
import functools
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

import anthropic
import openai
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("REPRISE_BIN", ROOT / "build/release/src/app/reprise"))
CLOCKED_BINARY = pathlib.Path(
    os.environ.get("REPRISE_CLOCKED_BIN", ROOT / "build/release/tests/app/reprise_clocked")
)
SCRIPTED_BINARY = pathlib.Path(
    os.environ.get("REPRISE_SCRIPTED_BIN", ROOT / "build/release/tests/app/reprise_scripted")
)
MODEL = pathlib.Path(
    os.environ.get("REPRISE_MODEL", ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf")
)
BEHIND = os.environ.get("REPRISE_BEHIND", "")  # "router", or nothing


# What is not asked again behind a router, by file or file::test.
NOT_BEHIND = {
    "test_disk.py": "a folder is the server's own; what passes a router does not change with it",
    "test_shared.py": "stores are the server's own; tests/router has a fleet that shares one",
    "test_hit_rates.py": "minutes of a clock that tests move; tests/router has hit rates of a fleet",
    "test_processors.py": "processors of a server",
    "test_events.py": "who follows a server asks that server",
    "test_connections.py::test_two_thousand_connections_at_once": "counts the server's own connections",
    "test_tenants.py::test_the_time_to_tokenise_tells_nothing_of_other_tenants_words": "times a server closely",
}


def pytest_collection_modifyitems(items):
    for item in items if BEHIND else ():
        file = item.path.name
        why = NOT_BEHIND.get(file) or NOT_BEHIND.get(f"{file}::{item.originalname}")
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


class Program:
    """A running program that has said on which port of 127.0.0.1 it listens, and its log; plain HTTP to it, and the
    official clients as `openai()` and `anthropic()`."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.log = []
        self._drain = threading.Thread(target=self._read_log, daemon=True)
        self._drain.start()
        for line in self.process.stdout:
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return
        self._drain.join(5)
        raise RuntimeError(f"{command[1]} did not start:\n" + "".join(self.log))

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=30)
        assert code == 0, f"{self.process.args[1]} ended with {code}:\n" + "".join(self.log[-20:])

    def openai(self, api_key="none"):
        return openai.OpenAI(
            base_url=f"http://127.0.0.1:{self.port}/v1", api_key=api_key, max_retries=0, timeout=300
        )

    def anthropic(self, api_key="none", **options):
        return anthropic.Anthropic(
            base_url=f"http://127.0.0.1:{self.port}",
            api_key=api_key,
            max_retries=0,
            timeout=300,
            **options,
        )

    def ask(self, method, path, body=None, headers=None, port=None):
        """(status, headers, body as bytes)"""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=300)
        with contextlib.closing(connection):
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def post(self, path, body):
        """The reply's JSON; anything but 200 fails the test."""
        status, headers, reply = self.ask("POST", path, body)
        assert status == 200, reply
        reply = json.loads(reply)
        reply["headers"] = headers
        return reply

    def get(self, path):
        status, _, reply = self.ask("GET", path)
        assert status == 200, reply
        return json.loads(reply)

    def connect(self, receive_buffer=None):
        """A raw socket."""
        raw = socket.socket()
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.settimeout(60)
        raw.connect(("127.0.0.1", self.port))
        return raw


class Router(Program):
    """`reprise route` before the servers on these ports."""

    def __init__(self, ports, *options, model=MODEL):
        command = [BINARY, "route", "--port", "0", "--fleet-token", fleet_token()]
        command += ["--model", model] if model else []
        for port in ports:
            command += ["--replica", f"http://127.0.0.1:{port}"]
        super().__init__([*command, *options])

    def fleet(self, key=None):
        status, _, reply = self.ask("GET", "/fleet", headers={"x-api-key": key} if key else {})
        assert status == 200, reply
        return json.loads(reply)

    def hang_up(self):
        """SIGHUP; returns when the keys have been read again, or those before stay."""
        before = len(self.log)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("keys" in line for line in self.log[before:]), "the router reads its keys")


def wait_until(true, what, seconds=60):
    """Until true() is; returns what it was."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)
    return found


@functools.cache
def fleet_token():
    """A file with what routers show to replicas; it goes with this process."""
    folder = tempfile.TemporaryDirectory(prefix="reprise-tests-")
    atexit.register(folder.cleanup)
    file = pathlib.Path(folder.name) / "fleet-token"
    file.write_text("of the tests, and long enough\n")
    file.chmod(0o600)
    return file


class Server(Program):
    """A running server. Behind a router, where REPRISE_BEHIND says so, `port` is the router's, and `own_port` the
    server's."""

    # What a router is told as its replicas are.
    SHARED_OPTIONS = ("--api-keys", "--allow-host", "--allow-origin", "--drain")

    def __init__(self, *options, binary=BINARY, behind=BEHIND):
        command = [binary, "serve", "--model", MODEL, "--expose-logits-checksum"]
        if "--port" not in options:
            command += ["--port", "0"]
        if "--kv-memory" not in options:
            command += ["--kv-memory", "512M"]
        if behind and "--fleet-token" not in options:
            command += ["--fleet-token", fleet_token()]
        super().__init__([*command, *options])
        self.own_port = self.port
        self.router = None
        if behind:
            self.router = self._put_behind_router(options)
            self.port = self.router.port

    def _put_behind_router(self, options):
        given = []
        for name, value in zip(options, options[1:]):
            if name in self.SHARED_OPTIONS:
                given += [name, value]
        try:
            return Router([self.own_port], *given)
        except BaseException:
            self.process.kill()
            raise

    def stop(self):
        self.stop_router()
        super().stop()

    def stop_router(self):
        router, self.router = self.router, None
        if router:
            router.stop()

    def flush(self):
        status, _, reply = self.ask("DELETE", "/cache")
        assert status == 200, reply
        return json.loads(reply)["freed_blocks"]

    def tokens(self, text, **options):
        return self.post("/tokenize", {"content": text, **options})["tokens"]

    def advance(self, milliseconds):
        """Moves the clock of a clocked server, which stands still otherwise."""
        return self.post("/test/clock", {"advance_ms": milliseconds})["now_ms"]

    def script(self, *replies):
        """What the next replies of a scripted server will be."""
        return self.post("/test/script", {"replies": list(replies)})["waiting"]

    def metric(self, name):
        """The server's own, whoever stands before it."""
        page = self.ask("GET", "/metrics", port=self.own_port)[2]
        return float(re.search(rf"^reprise_{re.escape(name)} (\S+)$", page.decode(), re.M).group(1))

    def wait_idle(self, seconds=30):
        """Waits until nothing runs or waits, background work included; returns the cache's page."""
        until = time.monotonic() + seconds
        quiet = 0
        while time.monotonic() < until:
            cache = self.get("/cache")
            busy = cache["requests"]["running"] + cache["requests"]["waiting"]
            quiet = quiet + 1 if busy == 0 else 0
            if quiet == 3:
                return cache
            time.sleep(0.02)
        raise AssertionError(f"still busy: {cache}")


def request_bytes(path, body):
    body = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.fixture(scope="session")
def built():
    if not BINARY.exists():
        pytest.skip(f"{BINARY} has not been built")
    if not MODEL.exists():
        pytest.skip(f"{MODEL} is absent: ./run fetches it, or set REPRISE_MODEL")


@pytest.fixture(scope="session")
def server(built):
    """One server for all tests that need no options of their own."""
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def start(built):
    """start(*options) -> a Server of the test's own; clocked=True: one whose clock the test moves; scripted=True:
    one whose replies the test writes."""
    running = []

    def begin(*options, clocked=False, scripted=False, **more):
        binary = CLOCKED_BINARY if clocked else SCRIPTED_BINARY if scripted else BINARY
        running.append(Server(*options, binary=binary, **more))
        return running[-1]

    yield begin
    for each in running:
        each.stop_router()  # also of one whose end was the test's matter
        each.stop()


@pytest.fixture(scope="session")
def strict_server(built):
    """One with --strict-api, for all tests that need no other option."""
    running = Server("--strict-api")
    yield running
    running.stop()


# -- Keys and tenants -----------------------------------------------------------------------------

KEYS = """
# key            tenant         what it may
key-of-acme      acme/main
key-2-of-acme    acme/main
key-of-zenith    zenith/main
key-of-ops       ops/main       admin
"""
ACME, ZENITH, OPS = "key-of-acme", "key-of-zenith", "key-of-ops"


class Guarded:
    """A server with a file of keys."""

    def __init__(self, start, path, *options):
        self.file = path / "keys"
        self.write(KEYS)
        self.server = start("--api-keys", self.file, *options)

    def write(self, keys):
        self.file.write_text(keys)
        self.file.chmod(0o600)

    def hang_up(self, said):
        """SIGHUP; returns the one line that the log says about it."""
        before = len(self.server.log)
        if self.server.router:
            self.server.router.hang_up()
        self.server.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            lines = [line for line in self.server.log[before:] if said in line]
            if lines:
                time.sleep(0.2)  # a second line would come at once
                assert len([line for line in self.server.log[before:] if said in line]) == 1
                return lines[0]
            time.sleep(0.01)
        raise AssertionError(f"no '{said}' in {self.server.log[before:]}")

    def json(self, key, path):
        """(status, reply) of a GET"""
        status, reply = self.ask(key, "GET", path)
        return status, json.loads(reply)

    def ask(self, key, method, path, body=None):
        headers = {"x-api-key": key} if key else {}
        status, _, reply = self.server.ask(method, path, body, headers)
        return status, reply

    def cache(self, key):
        status, reply = self.ask(key, "GET", "/cache")
        assert status == 200, reply
        return json.loads(reply)

    def idle(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            page = self.cache(OPS)
            if page["requests"] == {"running": 0, "waiting": 0}:
                return page
            time.sleep(0.05)
        raise AssertionError("still busy")


@pytest.fixture
def guarded(start, tmp_path):
    """guarded(*options) -> a Guarded of the test's own."""
    return lambda *options: Guarded(start, tmp_path, *options)


@pytest.fixture(scope="session")
def guarded_server(built, tmp_path_factory):
    """One Guarded for the tests that change nothing about it."""
    running = Guarded(Server, tmp_path_factory.mktemp("keys"))
    yield running
    running.server.stop()


# -- Clients and texts ----------------------------------------------------------------------------


@pytest.fixture
def client(server):
    return server.openai()


@pytest.fixture
def claude(server):
    return server.anthropic()


LICENSE_WORDS = (
    "This License refers to version three of the public agreement and to every copyright law that "
    "applies to other kinds of works such as masks of semiconductors. The program means any work "
    "under this License, each licensee is addressed as you, and both may be persons or bodies. To "
    "modify a work means to copy from or adapt all or part of it in a fashion that needs permission "
    "other than the making of an exact copy, and the result is called a work based on the first. "
)


@pytest.fixture
def document():
    """document(name, words): text of its own for each name, so that tests do not warm each other."""

    def make(name, words=150):
        text = f"Note {name}. "
        while len(text.split()) < words:
            text += LICENSE_WORDS
        return " ".join(text.split()[:words])

    return make
