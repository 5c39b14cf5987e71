"""What the cache spared, over time and as it happens, on a real server: the figures are the sums of what
requests were told as their usage, tenants see their own, and whoever watches is told in time.
"""

import contextlib
import http.client
import json
import queue
import threading
import time

import pytest
from conftest import ACME, OPS, ZENITH


class Watch:
    """A connection to GET /cache/watch, or another stream of events: as (name, data, when it came)."""

    def __init__(self, server, key=None, path="/cache/watch"):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.headers["content-type"].startswith("text/event-stream")
        self.events = queue.Queue()
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        name = None
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            for line in self.response:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    self.events.put((name, json.loads(value), time.monotonic()))
        self.ended.set()

    def next(self, wanted, fits=lambda data: True, seconds=20):
        """The next event of that name that fits: (data, when it came)."""
        until = time.monotonic() + seconds
        while True:
            name, data, came = self.events.get(timeout=max(until - time.monotonic(), 0.01))
            if name == wanted and fits(data):
                return data, came


def chat(server, words, key=None, **options):
    body = {"messages": [{"role": "user", "content": words}], "max_tokens": 6, "temperature": 0, **options}
    status, _, reply = server.ask("POST", "/v1/chat/completions", body, {"x-api-key": key} if key else {})
    assert status == 200, reply
    return json.loads(reply)


def page(server, path, key=None):
    status, _, reply = server.ask("GET", path, headers={"x-api-key": key} if key else {})
    assert status == 200, reply
    return json.loads(reply)


def sums(usages):
    read = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    prompt = sum(usage["prompt_tokens"] for usage in usages)
    generated = sum(usage["completion_tokens"] for usage in usages)
    return {"prompt": prompt, "read": read, "computed": prompt - read, "generated": generated}


def test_the_figures_are_the_sums_of_what_requests_were_told(start, document):
    server = start()
    words = document("savings", 400)
    asked = [words, words + " Go on.", words + " Sum it up.", document("another", 200)]
    usages = [chat(server, each)["usage"] for each in asked]
    figures = page(server, "/savings")["total"]["since_start"]
    expected = sums(usages)
    assert expected["read"] > 800
    assert figures["tokens"] == expected
    assert figures["requests"] == 4
    assert figures["read_share"] == pytest.approx(expected["read"] / expected["prompt"])
    assert {name: kind["requests"] for name, kind in figures["first_token"].items()} == {"cold": 2, "cached": 2}
    assert figures["first_token"]["cached"]["median_ms"] < figures["first_token"]["cold"]["median_ms"]
    columns = page(server, "/cache/series?span=10m")["columns"]
    assert {name: sum(columns[name]) for name in expected} == expected
    entries = page(server, "/cache/requests")["requests"]
    assert figures["waiting_seconds"] * 1000 == pytest.approx(sum(entry["saved_ms"] for entry in entries))
    assert figures["cpu_seconds"] / figures["waiting_seconds"] == pytest.approx(
        round(figures["cpu_seconds"] / figures["waiting_seconds"])
    ), "a whole number of threads"


def test_what_was_saved_and_the_first_token_are_what_it_took_cold(start, document):
    server = start()
    words = document("cold", 1500)
    chat(server, document("warm up", 600))  # so that the engine knows its pace
    chat(server, words)
    chat(server, words + " And then?")
    cached, cold = page(server, "/cache/requests")["requests"][:2]
    assert cold["saved_ms"] < cold["first_token_ms"] / 10
    assert cached["saved_ms"] > 5 * cached["first_token_ms"]
    # Within a factor of two: the machine has other work too.
    assert 0.5 < (cached["first_token_ms"] + cached["saved_ms"]) / cold["first_token_ms"] < 2


def test_each_tenant_sees_its_own(guarded, document):
    server = guarded().server
    words = document("tenants", 150)
    usages = {key: [chat(server, words, key)["usage"] for _ in range(n)] for key, n in ((ACME, 1), (ZENITH, 3))}
    assert usages[ZENITH][0]["prompt_tokens_details"]["cached_tokens"] == 0
    for key, tenant in ((ACME, "acme/main"), (ZENITH, "zenith/main")):
        shown = page(server, "/savings", key)
        assert [each["tenant"] for each in shown["tenants"]] == [tenant]
        assert shown["total"]["since_start"]["tokens"] == sums(usages[key])
        columns = page(server, "/cache/series", key)["columns"]
        assert sum(columns["requests"]) == len(usages[key])
        assert not {"running", "waiting", "blocks_free", "blocks_leased", "disk_bytes"} & set(columns)
    everything = page(server, "/savings", OPS)
    assert everything["total"]["since_start"]["tokens"] == sums(sum(usages.values(), []))
    assert {each["tenant"] for each in everything["tenants"]} == {"acme/main", "zenith/main"}


def test_a_request_is_told_as_it_goes_and_only_to_who_may_see_it(guarded, document):
    server = guarded().server
    own, other, everything = (Watch(server, key) for key in (ACME, ZENITH, OPS))
    for watch in (own, other, everything):
        assert watch.next("sample")
    reply = chat(server, document("told", 300), ACME, max_tokens=40, ignore_eos=True)
    ended = time.monotonic()
    for watch in (own, everything):
        told, came = watch.next("request", lambda data: data["state"] == "finished")
        assert came - ended < 0.25
        assert told["reply_id"] == reply["id"]
        assert told["generated"] == reply["usage"]["completion_tokens"] == 40
    sample, _ = everything.next("sample", lambda data: data["cache"]["cached_tokens"] > 0)
    assert sample["cache"]["requests"] == {"running": 0, "waiting": 0}
    watched = [other.events.get(timeout=20)]
    while watched[-1][2] < ended + 1:
        watched.append(other.events.get(timeout=20))
    assert {name for name, _, _ in watched} == {"sample"}, "nothing of another tenant's request, tree included"
    assert all(data["cache"]["cached_tokens"] == 0 for _, data, _ in watched)


def test_an_idle_server_is_not_kept_busy(start):
    server = start()
    watch = Watch(server)
    watch.next("sample")

    def seconds_of(process):
        fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    before = seconds_of(server.process)
    for _ in range(3):
        watch.next("sample")
    assert seconds_of(server.process) - before < 0.1


def test_the_stop_of_the_server_ends_the_stream_at_once(start, document):
    server = start("--drain", "30")
    watch = Watch(server)
    watch.next("sample")
    before = time.monotonic()
    server.process.terminate()
    assert watch.ended.wait(5)
    server.process.wait(timeout=10)
    assert time.monotonic() - before < 5, "it drains for 30 s where something runs"


def test_the_65th_who_watches_is_refused(server):
    watching = [Watch(server) for _ in range(64)]
    status, headers, reply = server.ask("GET", "/cache/watch")
    assert status == 429 and headers["retry-after"]
    assert "64" in json.loads(reply)["error"]["message"]
    for watch in watching:
        watch.connection.sock.close() if watch.connection.sock else watch.response.close()
    del watching
