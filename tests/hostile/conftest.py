"""The running server and what talks to it are those of tests/api; here clients are hostile.

Every attack has two bounds, as numbers: what the server's memory may grow by, and how long other clients
wait beside it. Memory is the resident set, in MiB.
"""

import importlib.util
import pathlib
import sys
import time

import pytest

_PATH = pathlib.Path(__file__).resolve().parents[1] / "api/conftest.py"
_SPEC = importlib.util.spec_from_file_location("server_fixtures", _PATH)
server_fixtures = importlib.util.module_from_spec(_SPEC)
sys.modules["server_fixtures"] = server_fixtures
_SPEC.loader.exec_module(server_fixtures)

built = server_fixtures.built
start = server_fixtures.start
guarded = server_fixtures.guarded


class Memory:
    """Of a server's process, from now on."""

    def __init__(self, server):
        self.path = pathlib.Path(f"/proc/{server.process.pid}")
        (self.path / "clear_refs").write_text("5")  # the peak begins anew
        self.begin = self._read("VmRSS")

    def _read(self, name):
        status = (self.path / "status").read_text()
        return int(status.split(name + ":")[1].split()[0]) / 1024

    @property
    def growth(self):
        return self._read("VmRSS") - self.begin

    @property
    def peak_growth(self):
        return self._read("VmHWM") - self.begin

    def settles_at(self, growth, seconds=5):
        """Whether it falls to that growth in that time."""
        until = time.monotonic() + seconds
        while self.growth > growth and time.monotonic() < until:
            time.sleep(0.05)
        return self.growth <= growth


@pytest.fixture
def memory():
    return Memory


def _seconds(server, headers=None):
    """How long the slower of a page and a short prompt takes."""
    begin = time.monotonic()
    assert server.ask("GET", "/health")[0] == 200
    health = time.monotonic() - begin
    begin = time.monotonic()
    body = {"content": "Hello, how are you?"}
    status, _, reply = server.ask("POST", "/tokenize", body, headers)
    assert status == 200, reply
    return max(health, time.monotonic() - begin)


@pytest.fixture
def waiting_time():
    return _seconds
