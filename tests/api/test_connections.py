"""Clients that leave, dawdle, send half of what they announced, or come by the thousand."""

import json
import resource
import socket
import time

import pytest

from conftest import request_bytes, wait_until

LONG = {"prompt": [1000, 2000, 3000], "max_tokens": 4000, "ignore_eos": True}


def wait_for_metric(server, name, wanted, seconds=5):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if server.metric(name) == wanted:
            return
        time.sleep(0.01)
    raise AssertionError(f"{name} is {server.metric(name)}, not {wanted}")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_its_request_at_once(server, stream):
    server.wait_idle()
    cancelled = server.metric("requests_cancelled_total")
    raw = server.connect()
    raw.sendall(request_bytes("/v1/completions", {**LONG, "stream": stream}))
    wait_for_metric(server, "requests_running", 1)
    time.sleep(0.1)
    generated = server.metric("generated_tokens_total")
    steps = server.metric("steps_total")
    raw.close()
    wait_for_metric(server, "requests_running", 0, seconds=2)
    assert server.metric("requests_cancelled_total") == cancelled + 1
    assert server.metric("steps_total") - steps < 60, "not the thousands that were asked for"
    assert server.metric("generated_tokens_total") - generated < 60
    assert server.wait_idle()["blocks"]["private"] == 0


def test_the_log_says_what_a_cancelled_request_cost(start):
    own = start()
    raw = own.connect()
    raw.sendall(request_bytes("/v1/completions", {**LONG, "stream": True}))
    wait_for_metric(own, "requests_running", 1)
    time.sleep(0.2)
    raw.close()
    wait_for_metric(own, "requests_running", 0)
    [line] = wait_until(lambda: [line for line in own.log if " 499 " in line], "the log has it")
    figures = dict(part.split("=") for part in line.split() if "=" in part)
    assert (figures["prompt"], figures["computed"]) == ("3", "3")
    generated = own.metric("generated_tokens_total")
    assert 1 <= int(figures["generated"]) <= generated <= int(figures["generated"]) + 2


def test_a_client_that_leaves_before_its_turn(server):
    held = []
    for _ in range(20):
        raw = server.connect()
        raw.sendall(request_bytes("/v1/completions", {**LONG, "stream": True}))
        held.append(raw)
    for raw in held:
        raw.close()
    assert server.wait_idle()["blocks"]["private"] == 0


def test_clients_that_never_read_hold_up_nobody(start):
    own = start()
    held = []
    for _ in range(4):
        raw = own.connect(receive_buffer=4096)
        body = {**LONG, "stream": True, "logprobs": 20, "max_tokens": 8000}
        raw.sendall(request_bytes("/v1/completions", body))
        held.append(raw)
    wait_for_metric(own, "requests_running", 4)
    own.post("/v1/completions", {"prompt": "x", "max_tokens": 200, "ignore_eos": True})
    for raw in held:
        raw.close()
    wait_for_metric(own, "requests_running", 0, seconds=2)
    assert own.wait_idle()["blocks"]["private"] == 0


def sse_events(received):
    """The data of each event of a whole response in chunks."""
    rest, body = received.split(b"\r\n\r\n", 1)[1], b""
    while rest:
        size, rest = rest.split(b"\r\n", 1)
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return [event.removeprefix("data: ") for event in body.decode().split("\n\n") if event]


def test_a_client_that_reads_slowly_gets_everything(server):
    raw = server.connect(receive_buffer=4096)
    body = {**LONG, "max_tokens": 60, "stream": True, "logprobs": 20}
    raw.sendall(request_bytes("/v1/completions", body))
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        received += raw.recv(700)
        time.sleep(0.002)
    events = sse_events(received)
    assert events.pop() == "[DONE]"
    logprobs = [json.loads(event)["choices"][0]["logprobs"] for event in events]
    # A chunk may carry several tokens: those of one character, say.
    assert sum(len(shown["tokens"]) for shown in logprobs if shown) == 60


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/chat",
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Le",
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 500\r\n\r\n{\"messages\":",
        b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{",
    ],
    ids=repr,
)
@pytest.mark.parametrize("reset", [False, True])
def test_half_a_request_and_then_the_end(server, sent, reset):
    admitted = server.metric("requests_admitted_total")
    raw = server.connect()
    raw.sendall(sent)
    if reset:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    raw.close()
    assert server.get("/health") == {"status": "ok"}
    assert server.metric("requests_admitted_total") == admitted


def test_garbage_behind_requests_ends_the_connection(server):
    raw = server.connect()
    raw.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3 + b"garbage\r\n\r\n")
    received = b""
    while piece := raw.recv(65536):
        received += piece
    assert received.count(b"200 OK") == 3
    assert received.count(b"400 Bad Request") == 1


def test_two_thousand_connections_at_once(start):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2200
    if hard < wanted:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    server = start()
    held = [server.connect() for _ in range(2000)]
    try:
        # Every fiftieth streams, every fourth of the rest asks something small, the others idle.
        streams = held[::50]
        for raw in streams:
            raw.sendall(request_bytes("/v1/completions", {**LONG, "max_tokens": 12, "stream": True}))
        asking = [raw for i, raw in enumerate(held) if i % 50 and i % 4 == 1]
        for raw in asking:
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert server.metric("http_connections") >= 2000
        for raw in asking:
            assert raw.recv(4096).startswith(b"HTTP/1.1 200")
        for raw in streams[::2]:
            received = b""
            while b"[DONE]" not in received:
                piece = raw.recv(65536)
                assert piece, received
                received += piece
    finally:
        for raw in held:
            raw.close()
    wait_for_metric(server, "http_connections", 1, seconds=10)
    assert server.wait_idle()["blocks"]["private"] == 0


def test_a_port_in_use_is_one_clear_sentence(server, built):
    import subprocess

    from conftest import BINARY, MODEL

    second = subprocess.run(
        [str(BINARY), "serve", "--model", str(MODEL), "--port", str(server.port), "--kv-memory", "64M"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 2
    assert "in use" in second.stderr


def test_the_server_stops_in_order_while_it_streams(start):
    own = start("--drain", "500ms")
    raw = own.connect()
    raw.sendall(request_bytes("/v1/completions", {**LONG, "stream": True}))
    assert raw.recv(100)
    started = time.monotonic()
    own.stop()
    assert time.monotonic() - started < 5
