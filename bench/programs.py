"""Servers as child processes: started on a free port of 127.0.0.1, ended by their own pid.

A child dies with this process, however that ends, and does not see the terminal's Ctrl-C, so that
the one who started it can stop it in order. What it prints goes to a log file.
"""
import ctypes
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
REPRISE = pathlib.Path(os.environ.get("REPRISE_BIN", ROOT / "build/release/src/app/reprise"))
CLOCKED = ROOT / "build/release/tests/app/reprise_clocked"  # its clock is moved by a request
MODEL = pathlib.Path(os.environ.get(
    "REPRISE_MODEL", ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"))
PEERS = pathlib.Path(os.environ.get("REPRISE_PEERS", ROOT / ".peers"))
LLAMA = PEERS / "llama-server"
LOGS = ROOT / "build/bench/logs"

START_SECONDS = 120  # a model is loaded in seconds; 8 GB from a cold disk take longer
STOP_SECONDS = 10    # then the child is killed
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class DidNotStart(Exception):
    """Says which program, and how its log ends."""


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Program:
    """A running child. `url` is its root, `command` what was run, in words."""

    def __init__(self, name, command, **popen):
        LOGS.mkdir(parents=True, exist_ok=True)
        self.name, self.url = name, None
        self.command = " ".join(pathlib.Path(part).name if os.sep in str(part) else str(part)
                                for part in command)
        self.log = LOGS / f"{name}.log"
        self._log_file = open(self.log, "w")
        popen.setdefault("stdout", self._log_file)
        popen.setdefault("start_new_session", True)
        self.process = subprocess.Popen(
            [str(part) for part in command], stderr=self._log_file,
            preexec_fn=_die_with_parent, **popen)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def cpu_seconds(self):
        """User and system time of all its threads so far."""
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self):
        return self.process.poll() is None

    def fail(self, why):
        self.stop()
        tail = self.log.read_text(errors="replace").splitlines()[-5:]
        raise DidNotStart(f"{self.name} {why}:\n" + "\n".join(tail))

    def stop(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._log_file):
            if stream:
                stream.close()


def _wait(program, ready):
    until = time.monotonic() + START_SECONDS
    while not ready():
        if not program.alive():
            program.fail(f"ended with {program.process.returncode} at its start")
        if time.monotonic() > until:
            program.fail(f"was not ready after {START_SECONDS} s")
        time.sleep(0.02)
    return program


def _listening(name, binary, arguments, popen):
    """Ready when it says where it listens."""
    if not pathlib.Path(binary).exists():
        raise DidNotStart(f"{binary} has not been built: ./run builds it")
    program = Program(name, [binary, *arguments], **popen)

    def ready():
        found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", program.log.read_text())
        program.url = found and found.group(1)
        return bool(found)

    return _wait(program, ready)


def start_reprise(name, model, *options, binary=REPRISE, **popen):
    """Reprise on `model`; ready when it says where it listens."""
    return _listening(name, binary, ["serve", "--model", model, "--port", "0", *options], popen)


def start_router(name, model, urls, *options, binary=REPRISE, **popen):
    """A router before the servers at `urls`, which reads `model`, if there is one; ready when it
    says where it listens."""
    replicas = [word for url in urls for word in ("--replica", url)]
    reads = ["--model", model] if model else []
    return _listening(name, binary, ["route", *reads, "--port", "0", *replicas, *options], popen)


def without_guesses(binary=REPRISE):
    """The options with which a build of Reprise guesses nothing; an older one never does."""
    text = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True).stdout
    return ["--speculate", "off"] if "--speculate" in text else []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_llama(name, model, *options):
    """llama-server on `model`; ready when /health is 200."""
    if not LLAMA.exists():
        raise DidNotStart("llama-server is absent: bench/peers/setup.sh makes it")
    port = free_port()
    program = Program(name, [LLAMA, "-m", model, "--host", "127.0.0.1", "--port", port, *options])
    program.url = f"http://127.0.0.1:{port}"

    def ready():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    return _wait(program, ready)


def start_redis(name):
    """A redis-server that keeps nothing on disk; its `url` is what --shared takes. Ready when it
    listens."""
    port = free_port()
    LOGS.mkdir(parents=True, exist_ok=True)
    program = Program(name, ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                             "--dir", LOGS])
    program.url = f"redis://127.0.0.1:{port}"

    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return _wait(program, listens)


def show_progress(text):
    """On a line of its own, over what was there."""
    print(f"\r{text:78}", end="", file=sys.stderr, flush=True)


def stop_on_signals():
    """Makes SIGTERM end this process as Ctrl-C does: by an exception, through every `with`."""
    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
