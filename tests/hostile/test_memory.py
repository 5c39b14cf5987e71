"""No client takes more memory than it is given, and what it took comes back."""

import json
import socket
import threading
import time

import pytest
from server_fixtures import request_bytes

HEAD = (
    b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
LETTERS = 30 << 20


def flood(server, begin, rest, most):
    """Sends until the server has enough or `most` bytes are sent; returns its answer's first bytes."""
    raw = server.connect()
    try:
        raw.sendall(begin)
        sent = 0
        while sent < most:
            raw.sendall(rest)
            sent += len(rest)
    except OSError:
        pass
    try:
        return raw.recv(4096)
    except OSError:
        return b""
    finally:
        raw.close()


@pytest.mark.parametrize("begin, rest", [(b"1;a=", b"a" * 65536), (b"0\r\n", b"a: b\r\n" * 8192)])
def test_what_frames_a_body_is_bounded(start, memory, waiting_time, begin, rest):
    server = start()
    before = memory(server)
    thread = threading.Thread(target=flood, args=(server, HEAD + begin, rest, 256 << 20))
    thread.start()
    slowest = max(waiting_time(server) for _ in range(20))
    thread.join()
    assert b" 431 " in flood(server, HEAD + begin, rest[:6], 100_000)
    assert before.peak_growth < 8
    assert slowest < 0.25


def test_bodies_that_never_end_share_one_budget(start, memory, waiting_time):
    server = start("--request-memory", "128M")
    before = memory(server)
    held = []
    for _ in range(32):
        raw = server.connect()
        held.append(raw)
        try:
            raw.sendall(request_bytes("/v1/completions", {"prompt": "a" * LETTERS})[:-1])
        except OSError:
            pass  # refused while it was sending
    answers = []
    for raw in held:
        raw.settimeout(0.05)
        try:
            answers.append(raw.recv(4096))
        except socket.timeout:
            answers.append(b"")
    assert waiting_time(server) < 0.25
    refused = [answer for answer in answers if answer]
    assert len(refused) == 28, "four fit"
    assert all(b" 429 " in answer and b"Retry-After: 1" in answer for answer in refused)
    assert before.peak_growth < 128 + 32
    # Who sends nothing for ten seconds is not waited for.
    until = time.monotonic() + 20
    while server.metric("http_connections") > 1 and time.monotonic() < until:
        time.sleep(0.2)
    assert server.metric("http_connections") == 1
    assert before.settles_at(32)
    for raw in held:
        raw.close()


def test_a_large_reply_costs_its_bytes_and_gives_them_back(start, memory):
    server = start()
    before = memory(server)
    body = {"content": "1 " * (1 << 19), "with_pieces": True}
    status, _, reply = server.ask("POST", "/tokenize", body)
    assert status == 200 and len(reply) > 20 << 20
    assert before.peak_growth < 8 * len(reply) / (1 << 20)
    assert before.settles_at(80)
    status, _, reply = server.ask("POST", "/tokenize", {"content": "a" * ((1 << 20) + 1)})
    assert status == 413 and json.loads(reply)["error"]["param"] == "content"
    status, _, reply = server.ask("POST", "/tokenize", {"content": "a" * (5 << 20)})
    assert status == 413


def test_replies_that_nobody_reads_share_the_budget(start, memory):
    server = start("--request-memory", "128M")
    before = memory(server)
    body = request_bytes("/tokenize", {"content": "1 " * (1 << 19), "with_pieces": True})
    held = []
    for _ in range(12):
        raw = server.connect(receive_buffer=4096)
        raw.sendall(body)
        held.append(raw)
        time.sleep(0.3)
    assert before.peak_growth < 128 + 128
    for raw in held:
        raw.close()
    assert server.post("/tokenize", {"content": "a"})["tokens"]
    assert before.settles_at(96)


def test_long_bodies_leave_no_memory_behind(start, memory):
    server = start()
    server.ask("POST", "/v1/completions", {"prompt": "a" * LETTERS})
    before = memory(server)
    for _ in range(4):
        status, _, reply = server.ask("POST", "/v1/chat/completions", {
            "messages": [{"role": "user", "content": "b" * LETTERS}]
        })
        assert status == 400 and b"maximum context length is" in reply
    assert before.settles_at(32), before.growth


# Twenty alternatives for each token: kilobytes for a word.
WORDY = {"messages": [{"role": "user", "content": "Tell me a long story."}], "logprobs": True, "top_logprobs": 20,
         "max_tokens": 600, "n": 8, "temperature": 1, "seed": 1}


def test_replies_that_are_being_made_share_the_budget(start):
    server = start("--request-memory", "1M")
    status, headers, reply = server.ask("POST", "/v1/chat/completions", WORDY)
    assert status == 429 and headers["Retry-After"] == "1" and b"--request-memory" in reply
    server.wait_idle()
    assert server.post("/v1/chat/completions", {**WORDY, "n": 1, "max_tokens": 5})["choices"]


def test_streams_that_nobody_reads_share_the_budget(start):
    server = start("--request-memory", "1M")
    raw = server.connect(receive_buffer=4096)
    raw.sendall(request_bytes("/v1/chat/completions", {**WORDY, "stream": True}))
    while server.metric("generated_tokens_total") == 0:
        time.sleep(0.01)
    server.wait_idle()
    assert server.metric("generated_tokens_total") < 8 * 500, "cancelled before its end"
    raw.close()
    # A stream that is read needs none of it.
    status, _, reply = server.ask("POST", "/v1/chat/completions", {**WORDY, "stream": True})
    assert status == 200 and len(reply) > 4 << 20 and reply.endswith(b"data: [DONE]\n\n")
