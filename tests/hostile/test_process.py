"""What the process says, and how it ends."""

import http.client
import json
import resource
import signal
import socket
import subprocess
import time

import pytest
from server_fixtures import BINARY, MODEL, request_bytes

LONG = {"prompt": [1000, 2000, 3000], "max_tokens": 4000, "ignore_eos": True}
MASK = (1 << 64) - 1


def state_word(output):
    """The word of mt19937_64's state that an output was made from."""

    def unshift_right(value, shift, mask=MASK):
        result = value
        for _ in range(64 // shift + 1):
            result = value ^ ((result >> shift) & mask)
        return result

    def unshift_left(value, shift, mask):
        result = value
        for _ in range(64 // shift + 1):
            result = value ^ ((result << shift) & mask & MASK)
        return result

    value = unshift_right(output, 43)
    value = unshift_left(value, 37, 0xFFF7EEE000000000)
    value = unshift_left(value, 17, 0x71D67FFFEDA60000)
    return unshift_right(value, 29, 0x5555555555555555)


def next_output(outputs):
    """What mt19937_64 yields after these 312."""
    state = [state_word(output) for output in outputs]
    x = (state[0] & 0xFFFFFFFF80000000) | (state[1] & 0x7FFFFFFF)
    value = state[156] ^ (x >> 1) ^ (0xB5026F5AA96619E9 if x & 1 else 0)
    value ^= (value >> 29) & 0x5555555555555555
    value ^= (value << 17) & 0x71D67FFFEDA60000
    value ^= (value << 37) & 0xFFF7EEE000000000
    return value ^ (value >> 43)


def test_the_prediction_is_right_for_the_generator_that_was():
    """C++'s standard: the 10,000th output of a default-constructed mt19937_64."""
    state = [5489]
    for i in range(1, 312):
        state.append((6364136223846793005 * (state[-1] ^ (state[-1] >> 62)) + i) & MASK)

    def temper(value):
        value ^= (value >> 29) & 0x5555555555555555
        value ^= (value << 17) & 0x71D67FFFEDA60000
        value ^= (value << 37) & 0xFFF7EEE000000000
        return value ^ (value >> 43)

    for _ in range(10_000):
        x = (state[0] & 0xFFFFFFFF80000000) | (state[1] & 0x7FFFFFFF)
        state.append(state[156] ^ (x >> 1) ^ (0xB5026F5AA96619E9 if x & 1 else 0))
        state.pop(0)
    assert temper(state[-1]) == 9981545732273789042
    outputs = [temper(word) for word in state]
    x = (state[0] & 0xFFFFFFFF80000000) | (state[1] & 0x7FFFFFFF)
    after = temper(state[156] ^ (x >> 1) ^ (0xB5026F5AA96619E9 if x & 1 else 0))
    assert next_output(outputs) == after


def test_ids_tell_nothing_of_the_next(start):
    server = start()
    ids = [
        int(server.ask("GET", "/health")[1]["x-request-id"].removeprefix("req_"), 16)
        for _ in range(313)
    ]
    assert len(set(ids)) == 313
    assert next_output(ids[:312]) != ids[312]


def test_the_end_is_said(start):
    """What streams is told after --drain, what waits at once; the end comes in bounded time."""
    server = start("--drain", "1s", "--kv-memory", "64M")
    streaming = server.connect()
    streaming.sendall(request_bytes("/v1/completions", {**LONG, "stream": True}))
    assert streaming.recv(100)
    waiting = []
    for _ in range(12):  # more than the cache has room for
        raw = server.connect()
        raw.sendall(request_bytes("/v1/completions", LONG))
        waiting.append(raw)
    # Before the questions below, whose answers say that it was accepted: who is not yet, is reset at the end.
    late = server.connect()
    late.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n")
    until = time.monotonic() + 10
    while server.metric("requests_waiting") == 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert server.metric("requests_waiting") > 0
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    late.sendall(b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    assert b" 503 " in late.recv(4096)
    answers = []
    for raw in waiting:
        answers.append(raw.recv(65536))
        raw.close()
    assert all(b" 503 " in answer and b"is stopping" in answer for answer in answers)
    received = b""
    while piece := streaming.recv(65536):
        received += piece
    assert b"is stopping" in received and b"[DONE]" not in received
    assert server.process.wait(timeout=10) == 0
    assert time.monotonic() - begin < 4


def test_a_reply_that_ends_in_time_is_whole(start):
    server = start("--drain", "20s")
    raw = server.connect()
    raw.sendall(request_bytes("/v1/completions", {**LONG, "max_tokens": 60, "stream": True}))
    assert raw.recv(100)
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    received = b""
    while piece := raw.recv(65536):
        received += piece
    assert b"[DONE]" in received
    assert server.process.wait(timeout=10) == 0
    assert time.monotonic() - begin < 15, "it ends with the last reply, not after --drain"


def test_abandoned_work_does_not_hold_up_the_end(start):
    server = start()
    for _ in range(4):
        raw = server.connect()
        raw.sendall(request_bytes("/tokenize", {"content": "a" * (1 << 20)}))
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=30) == 0
    assert time.monotonic() - begin < 8


def test_without_files_a_client_is_told_so(built):
    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    process = subprocess.Popen(
        [str(BINARY), "serve", "--model", str(MODEL), "--port", "0", "--kv-memory", "64M"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=few_files,
    )
    port = int(process.stdout.readline().rsplit(":", 1)[1])
    held, told = [], 0
    for _ in range(100):
        raw = socket.create_connection(("127.0.0.1", port), timeout=5)
        raw.settimeout(0.05)
        try:
            told += b" 503 " in raw.recv(100)
        except socket.timeout:
            held.append(raw)
    assert told > 40 and len(held) > 20
    for raw in held:
        raw.close()
    process.terminate()
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert log.count("cannot accept") <= 2


def test_a_path_cannot_forge_a_line_of_the_log(start):
    server = start()
    raw = server.connect()
    raw.sendall(b"GET /\xff\xc2\x9b31m" + b"x" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 404 " in raw.recv(4096)
    until = time.monotonic() + 5
    while not any("404" in line for line in server.log) and time.monotonic() < until:
        time.sleep(0.01)
    line = next(line for line in server.log if "404" in line)
    assert len(line) < 400
    assert "\x9b" not in line and "\x1b" not in line


# -- What comes with a model's file -----------------------------------------------------------------


def patched(path, before, after):
    """A copy of the model with a text of its metadata replaced; the file's lengths stay as they are."""
    data = MODEL.read_bytes()
    assert data.count(before, 0, 1 << 22) == 1 and len(after) <= len(before)
    at = data.index(before)
    path.write_bytes(data[:at] + after.ljust(len(before)) + data[at + len(before) :])
    return path


def metadata_text(key):
    """A string of the model's metadata: its key, a type, a length, and the bytes."""
    data = MODEL.read_bytes()[: 1 << 22]
    at = data.index(key.encode()) + len(key) + 4
    length = int.from_bytes(data[at : at + 8], "little")
    return data[at + 8 : at + 8 + length]


def serve_patched(path, key, after):
    model = patched(path, metadata_text(key), after)
    process = subprocess.Popen(
        [str(BINARY), "serve", "--model", str(model), "--port", "0", "--kv-memory", "64M"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    return process, process.stdout.readline()


@pytest.mark.parametrize("template", [
    b"{% set ns=namespace() %}{% set ns.a=ns %}{{ ns }}",
    b"{% set ns=namespace(a=1) %}{% for i in range(9999) %}{% set ns.a=[ns.a] %}{% endfor %}{{ ns.a }}",
    b"{{ '%1000000000d'|format(1) }}",
])
def test_a_hostile_template_is_a_400(built, tmp_path, template):
    process, line = serve_patched(tmp_path / "model.gguf", "tokenizer.chat_template", template)
    port = int(line.rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
    for _ in range(2):
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 400
        assert b"chat template" in response.read()
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_template_that_does_not_compile_is_exit_code_2(built, tmp_path):
    process, _ = serve_patched(tmp_path / "model.gguf", "tokenizer.chat_template", b"{{ " + b"(" * 300)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "chat template" in log


def test_a_models_name_cannot_forge_a_line_of_the_log(built, tmp_path):
    process, _ = serve_patched(tmp_path / "model.gguf", "general.name", b"a\n9:9 I forged\x1b[2J")
    process.terminate()
    _, log = process.communicate(timeout=30)
    assert not any(line.startswith("9:9") for line in log.splitlines())
    assert "\\x0a9:9 I forged" in log and "\x1b[2J" not in log.replace("\x1b[m", "")
