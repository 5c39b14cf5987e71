"""What must not harm: every refusal has the vendor's shape, and the server lives."""

import json
import threading
import time

import openai
import pytest

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def lives(server):
    yield
    assert server.get("/health") == {"status": "ok"}
    assert server.wait_idle()["blocks"]["private"] == 0


def refused(server, path, body, status=400):
    got, headers, reply = server.ask("POST", path, body)
    assert got == status, reply
    assert headers["Content-Type"] == "application/json"
    error = json.loads(reply)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith((".", "}", "]")) or error["message"]
    return error


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b'"text"',
        b'{"messages":[{"role":"user","content":"x"}]',
        b'{"messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        b'{"a":' * 100 + b"1" + b"}" * 100,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_body_that_is_no_json_object(server, body):
    """More such bodies are in call_test.cc."""
    assert refused(server, CHAT, body)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"max_tokens": 2**63}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"n": 1000}, "n"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": "x" * 2000}, "stop"),
        ({"stream": 1}, "stream"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_faulty_field_is_named(server, fields, param):
    """All fields are in call_test.cc; these values are not."""
    assert refused(server, CHAT, {"messages": HELLO, **fields})["param"] == param


def test_the_official_client_raises_its_own_error(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="any", messages=HELLO, temperature=7)
    assert raised.value.param == "temperature"


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_over_the_context(server, stream):
    context = server.get("/props")["default_generation_settings"]["n_ctx"]
    error = refused(server, "/v1/completions", {"prompt": [1000] * (context + 1), "stream": stream})
    assert error["code"] == "context_length_exceeded"
    assert refused(server, "/v1/completions", {"prompt": [1000] * context})["code"] == error["code"]
    long = [{"role": "user", "content": "word " * (context + 1)}]
    assert refused(server, CHAT, {"messages": long})["code"] == "context_length_exceeded"


def test_a_limit_past_the_context_ends_at_the_context(start):
    small = start("--context", "64")
    reply = small.post(
        "/v1/completions", {"prompt": [1000] * 40, "max_tokens": 10**9, "ignore_eos": True}
    )
    assert reply["usage"]["completion_tokens"] == 24
    assert reply["choices"][0]["finish_reason"] == "length"


def test_a_body_over_the_limit(server):
    big = b'{"messages":[{"role":"user","content":"' + b"x" * (33 << 20) + b'"}]}'
    assert refused(server, CHAT, big, 413)["code"] == "request_too_large"


def test_a_large_body_within_the_limit_does_not_stall_a_stream(server):
    """20 MB are read, tokenised and refused by the worker while a stream goes on."""
    client = server.openai()
    stream = client.chat.completions.create(
        model="any", messages=HELLO, max_tokens=2000, stream=True, extra_body={"ignore_eos": True}
    )
    arrived = []
    enough = threading.Event()

    def read():
        for _ in stream:
            arrived.append(time.monotonic())
            if enough.is_set():
                break
        stream.close()

    reader = threading.Thread(target=read)
    reader.start()
    while not arrived:
        time.sleep(0.01)
    start = time.monotonic()
    refused(server, CHAT, {"messages": [{"role": "user", "content": "word " * 4_000_000}]})
    end = time.monotonic()
    enough.set()
    reader.join(10)
    # Between the two moments, but for sending the body itself.
    assert sum(start < at < end for at in arrived) >= 5


def test_tokens_that_do_not_exist(server):
    for tokens in ([-1], [10**9], [2**64], ["a", 5], [1.5], [None]):
        assert refused(server, "/v1/completions", {"prompt": tokens})["param"] == "prompt"
        if tokens != ["a", 5]:
            assert refused(server, "/detokenize", {"tokens": tokens})["param"] == "tokens"


@pytest.mark.parametrize("field", [{"echo": True}, {"suffix": "x"}, {"best_of": 4}])
def test_what_is_not_supported_says_so(server, field):
    error = refused(server, "/v1/completions", {"prompt": "x", **field})
    assert error["code"] == "unsupported_value"
    assert error["param"] == next(iter(field))


def test_unknown_fields_are_tolerated(server):
    body = {"messages": HELLO, "max_tokens": 1, "metadata": {"a": "b"}, "store": True}
    body |= {"prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}}
    body |= {"service_tier": "auto", "response_format": {"type": "text"}, "invented": [1, {}]}
    server.post(CHAT, body)


def test_tools_of_a_template_that_ignores_them_do_no_harm(server):
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    messages = HELLO + [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ]
    server.post(CHAT, {"messages": messages, "tools": tools, "tool_choice": "auto", "max_tokens": 2})
    error = refused(server, CHAT, {"messages": HELLO, "tool_choice": "required"})
    assert error["param"] == "tool_choice"


def test_control_characters_and_every_plane_of_unicode(server):
    codes = [*range(0, 300), 0x2028, 0xFFFD, 0xFFFF, 0x1F389, 0x10FFFF]
    text = "".join(map(chr, codes))
    reply = server.post(CHAT, {"messages": [{"role": "user", "content": text}], "max_tokens": 2})
    assert reply["usage"]["completion_tokens"] > 0
    # The default model's vocabulary has no token for these bytes.
    spelt = "".join(character for character in text if character not in "\x04\x06\x13\x14\x16\x1d")
    assert server.post("/detokenize", {"tokens": server.tokens(text)})["content"] == spelt
