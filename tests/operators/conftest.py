"""A server on the real model that did some work, with a disk and a shared store below and a router before it, and
Prometheus over both."""

import contextlib
import pathlib
import sys
import time
import types

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parent)]

from api.conftest import OPS, Guarded, Router, Server, built, fleet_token, start  # noqa: E402,F401
from api.store import Store  # noqa: E402
from scraper import Prometheus  # noqa: E402

DOCUMENT = " ".join(f"Rule {i}: whoever comes as number {i * 7919 % 1009} waits." for i in range(30))


def play(server):
    """What each panel shows something of: cold prompts and cached ones, marks, a reply that was guessed, errors."""
    key = {"x-api-key": OPS}
    system = [{"type": "text", "text": DOCUMENT, "cache_control": {"type": "ephemeral"}}]
    for question in ("Who waits?", "Who does not?", "Who waits?"):
        body = {"model": "m", "max_tokens": 12, "system": system, "messages": [{"role": "user", "content": question}]}
        status, _, reply = server.ask("POST", "/v1/messages", {**body, "temperature": 0}, key)
        assert status == 200, reply
    body = {"prompt": "Count: one, two, three, one, two, three, one, two,", "max_tokens": 24, "temperature": 0}
    for _ in range(2):
        status, _, reply = server.ask("POST", "/v1/completions", body, key)
        assert status == 200, reply
    assert server.ask("POST", "/v1/completions", {"prompt": 7}, key)[0] == 400
    assert server.ask("GET", "/cache")[0] == 401


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    running = Store(tmp_path_factory.mktemp("redis"))
    yield running.url
    running.stop()


@pytest.fixture(scope="session")
def watched(built, store, tmp_path_factory):
    """Namespace of server, router and prometheus, after traffic at which Prometheus looked."""
    folder = tmp_path_factory.mktemp("operators")
    options = ("--disk", folder / "disk", "--disk-size", "1G", "--shared", store, "--fleet-token", fleet_token())
    with contextlib.ExitStack() as stack:
        guarded = Guarded(Server, folder, *options)
        stack.callback(guarded.server.stop)
        router = Router([guarded.server.own_port], "--api-keys", guarded.file)
        stack.callback(router.stop)
        prometheus = Prometheus(folder, guarded.server.own_port, router.port, OPS)
        stack.callback(prometheus.stop)
        until = time.monotonic() + 4  # a rate wants counts of several scrapes, each before and after
        while time.monotonic() < until:
            play(guarded.server)
            play(router)
        prometheus.wait_for("reprise:read_share:rate10m > 0")
        yield types.SimpleNamespace(server=guarded.server, router=router, prometheus=prometheus)
