"""Nobody's work holds up another's."""

import json
import time

from server_fixtures import ACME, ZENITH, request_bytes

LETTERS = "a" * (31 << 20)


def test_a_prompt_that_cannot_fit_is_not_tokenised(start, waiting_time):
    server = start()
    for path, body in [
        ("/v1/completions", {"prompt": LETTERS}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": LETTERS}]}),
        ("/v1/messages", {"max_tokens": 1, "messages": [{"role": "user", "content": LETTERS}]}),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": LETTERS}]}),
    ]:
        begin = time.monotonic()
        status, _, reply = server.ask("POST", path, body)
        assert time.monotonic() - begin < 3, "tokenising takes half a minute"
        assert status == 400
        message = json.loads(reply)["error"]["message"]
        assert "maximum context length is" in message or "prompt is too long" in message


def test_abandoned_work_holds_up_nobody(start, waiting_time):
    server = start()
    bodies = [
        request_bytes("/v1/chat/completions", {"messages": [{"role": "user", "content": LETTERS}]}),
        request_bytes("/tokenize", {"content": "a" * (1 << 20)}),
    ]
    for body in bodies:
        for _ in range(4):
            raw = server.connect()
            raw.sendall(body)
            raw.close()
        slowest = max(waiting_time(server) for _ in range(10))
        assert slowest < 0.5
        begin = time.monotonic()
        assert server.tokens("word " * 20_000)
        assert time.monotonic() - begin < 2, "long work of the same tenant has its turn soon"


def test_another_tenants_long_work_is_not_waited_for(guarded):
    server = guarded().server
    body = json.dumps({"content": "a" * (1 << 20)}).encode()
    head = (
        f"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"x-api-key: {ACME}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    held = []
    for _ in range(12):
        raw = server.connect()
        raw.sendall(head + body)
        held.append(raw)
    begin = time.monotonic()
    status, _, _ = server.ask(
        "POST", "/tokenize", {"content": "word " * 20_000}, {"x-api-key": ZENITH}
    )
    waited = time.monotonic() - begin
    assert status == 200
    first_of_acme = held[0].recv(1)
    assert first_of_acme
    assert waited < 2, "twelve times a second's work are before it"
    for raw in held:
        raw.close()


def test_short_requests_are_quick_beside_long_work(start, waiting_time):
    server = start()
    held = []
    for _ in range(3):
        raw = server.connect()
        raw.sendall(request_bytes("/tokenize", {"content": "a" * (1 << 20)}))
        held.append(raw)
    time.sleep(0.2)
    times = sorted(waiting_time(server) for _ in range(20))
    print(f"short requests beside long work: median {1e3 * times[10]:.0f} ms, most {1e3 * times[-1]:.0f} ms")
    assert times[10] < 0.05
    for raw in held:
        raw.close()
