"""The messages API through the official client, on the real model: shapes, streams, bad input."""

import json
import time

import anthropic
import pytest
from messages import HOUR, MARK, arguments, counts, create, text, tool, total, user

# -- Shapes -------------------------------------------------------------------------------------


def test_a_message_has_the_vendors_shape(claude):
    message = create(claude)
    assert message.id.startswith("msg_") and message.type == "message" and message.role == "assistant"
    assert [block.type for block in message.content] == ["text"] and message.content[0].text
    assert message.stop_reason == "max_tokens" and message.stop_sequence is None
    usage = message.usage
    assert usage.output_tokens == 8
    assert usage.cache_creation.ephemeral_5m_input_tokens == 0
    assert usage.cache_creation.ephemeral_1h_input_tokens == 0
    assert all(isinstance(n, int) for n in counts(usage))


def test_a_stream_says_the_same_as_a_whole_reply(claude):
    whole = create(claude, "Count to five.", max_tokens=20)
    with claude.messages.stream(
        messages=[user(text("Count to five."))], **arguments({"max_tokens": 20})
    ) as stream:
        events = list(stream)
        final = stream.get_final_message()
    assert final.content[0].text == whole.content[0].text
    assert (final.stop_reason, final.stop_sequence) == (whole.stop_reason, whole.stop_sequence)
    assert final.usage.output_tokens == whole.usage.output_tokens
    kinds = [event.type for event in events if event.type != "text"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}


def test_counters_are_equal_at_both_ends_of_a_stream(server, document):
    body = {
        "model": "m",
        "max_tokens": 3,
        "stream": True,
        "system": [text(document("ends of a stream"), HOUR)],
        "messages": [user(text("Hm?", MARK))],
    }
    for _ in range(2):
        status, headers, reply = server.ask("POST", "/v1/messages?beta=true", body)
        assert status == 200 and headers["content-type"].startswith("text/event-stream")
        assert headers["request-id"].startswith("req_")
        events = [
            (part.split("\n")[0].removeprefix("event: "), json.loads(part.split("data: ", 1)[1]))
            for part in reply.decode().strip().split("\n\n")
        ]
        assert all(name == data["type"] for name, data in events)
        start = dict(events)["message_start"]["message"]["usage"]
        end = dict(events)["message_delta"]["usage"]
        split = start.pop("cache_creation")
        assert sum(split.values()) == start["cache_creation_input_tokens"]
        assert "cache_creation" not in end
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        assert [start[name] for name in names] == [end[name] for name in names]
        assert end["output_tokens"] == 3
        read, write, rest = (start[name] for name in reversed(names))
        assert headers["x-reprise-cache"] == f"read={read}, write={write}, computed={write + rest}"


def test_stop_sequences_end_the_reply_and_are_named(claude):
    whole = create(claude, "Count from one to ten in digits.", max_tokens=40).content[0].text
    stop = whole[5:8]
    message = create(claude, "Count from one to ten in digits.", max_tokens=40, stop_sequences=[stop])
    assert message.stop_reason == "stop_sequence" and message.stop_sequence == stop
    shown = message.content[0].text if message.content else ""
    assert shown == whole[: whole.index(stop)]


def test_a_reply_that_ends_by_itself_is_end_turn(claude):
    message = create(claude, "What is two plus two? Answer with one number.", max_tokens=400)
    assert message.stop_reason == "end_turn"


def test_a_reply_that_fills_the_context_says_so(start):
    small = start("--context", "64").anthropic()
    message = create(small, "Tell me a very long story.", max_tokens=5000)
    assert message.stop_reason == "model_context_window_exceeded"
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: [0-9]+ tokens > 63 maximum"):
        create(small, "story " * 80)


def test_max_tokens_0_fills_the_cache_and_generates_nothing(claude, document):
    messages = [user(text(document("fill"), MARK))]
    message = create(claude, messages, max_tokens=0)
    assert message.content == [] and message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 0
    first = counts(message.usage)
    assert first[0] < 40 and first[1] > 100
    again = counts(create(claude, messages).usage)
    assert again[0] >= first[0] + first[1]
    with pytest.raises(anthropic.BadRequestError, match="stream"):
        list(create(claude, messages, max_tokens=0, stream=True))


def test_an_assistants_last_message_is_continued(claude, server):
    messages = [user(text("Name a colour.")), {"role": "assistant", "content": "A colour is bl"}]
    status, _, shown = server.ask("POST", "/apply-template", {"messages": [
        {"role": "user", "content": "Name a colour."}]})
    assert status == 200
    prompt = json.loads(shown)["prompt"] + "A colour is bl"
    assert total(claude, messages) == len(server.tokens(prompt))
    raw_reply = server.post("/v1/completions", {"prompt": prompt, "max_tokens": 8, "temperature": 0})
    reply = create(claude, messages)
    assert reply.content[0].text == raw_reply["choices"][0]["text"]


def test_what_the_vendor_knows_and_we_do_not_need_is_tolerated(claude, server):
    message = claude.beta.messages.create(
        model="any",
        max_tokens=4,
        messages=[user(text("Hello."))],
        betas=["context-management-2025-06-27", "something-new-2030-01-01"],
        thinking={"type": "enabled", "budget_tokens": 1024},
        metadata={"user_id": "somebody"},
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
        extra_body={"something_new": {"a": [1]}},
        extra_headers={"authorization": "Bearer none"},
    )
    assert message.content
    assert server.ask("HEAD", "/")[0] == 200
    assert [model.id for model in claude.models.list(limit=5)][0]
    assert claude.models.retrieve("anything").type == "model"


def test_tools_and_their_traffic_are_rendered(claude, server):
    messages = [
        user(text("What is the weather in Bergen?")),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "redacted_thinking", "data": "x"},
                text("I look it up."),
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bergen"}},
            ],
        },
        user({"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("Rain.")]}, text("So?")),
    ]
    options = dict(tools=[tool("weather")], tool_choice={"type": "auto"})
    assert create(claude, messages, **options).content
    counted = total(claude, messages, tools=options["tools"])
    assert counted > total(claude, messages) > total(claude, messages[:1])


def test_a_control_token_in_any_text_stays_text(claude):
    plain = [user(text("a b"))]
    spelled = [user(text("a<|im_end|>b"))]
    assert total(claude, spelled) > total(claude, plain) + 3
    assert create(claude, spelled).content


# -- Bad input --------------------------------------------------------------------------------------

BAD = {
    "no max_tokens": ({"messages": [user(text("x"))]}, "max_tokens: Field required"),
    "no messages": ({"max_tokens": 1, "messages": []}, "messages: at least one message is required"),
    "an image": (
        {"max_tokens": 1, "messages": [user(text("x"), {"type": "image", "source": {}})]},
        "messages.0.content.1: image blocks are not supported by this model",
    ),
    "a document in a tool_result": (
        {
            "max_tokens": 1,
            "messages": [
                user({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document"}]})
            ],
        },
        "messages.0.content.0.content.0: document blocks are not supported by this model",
    ),
    "a system block of another type": (
        {"max_tokens": 1, "system": [{"type": "image"}], "messages": [user(text("x"))]},
        "system.0: image blocks are not supported by this model",
    ),
    "a role of its own": (
        {"max_tokens": 1, "messages": [{"role": "tool", "content": "x"}]},
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    "a tool without a schema": (
        {"max_tokens": 1, "tools": [{"name": "n"}], "messages": [user(text("x"))]},
        "tools.0.custom.input_schema: Input should be an object",
    ),
    "a tool with a broken schema": (
        {
            "max_tokens": 1,
            "tools": [{"name": "n", "input_schema": {"type": ["x"]}}],
            "messages": [user(text("x"))],
        },
        "tools.0.custom.input_schema.type: Input should be 'object'",
    ),
    "a tool of the vendor's": (
        {
            "max_tokens": 1,
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
            "messages": [user(text("x"))],
        },
        "tools.0: tools of type 'web_search_20250305' are not supported by this model",
    ),
    "text of another type": (
        {"max_tokens": 1, "messages": [user({"type": "text", "text": 5})]},
        "messages.0.content.0.text: Input should be a string",
    ),
    "a stop sequence of another type": (
        {"max_tokens": 1, "stop_sequences": [1], "messages": [user(text("x"))]},
        "stop_sequences.0: Input should be a string of at most 1024 bytes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_400_that_names_the_place(server, name):
    body, sentence = BAD[name]
    status, headers, reply = server.ask("POST", "/v1/messages", body)
    reply = json.loads(reply)
    assert (status, reply["type"]) == (400, "error"), reply
    assert reply["error"] == {"type": "invalid_request_error", "message": sentence}
    assert reply["request_id"] == headers["request-id"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": "x", "max_tokens": 1}', b"\xff"])
def test_what_is_no_request_is_a_400_in_the_vendors_shape(server, body):
    status, _, reply = server.ask("POST", "/v1/messages", body)
    assert status == 400 and json.loads(reply)["error"]["type"] == "invalid_request_error"


def test_other_refusals_have_the_vendors_shape(server):
    for method, path, status, kind in (
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("GET", "/v1/messages", 405, "invalid_request_error"),
    ):
        got, _, reply = server.ask(method, path)
        assert got == status and json.loads(reply)["error"]["type"] == kind


def test_a_body_over_the_limit_is_request_too_large(server):
    status, _, reply = server.ask("POST", "/v1/messages", b'{"a":"' + b"x" * (33 << 20) + b'"}')
    assert status == 413 and json.loads(reply)["error"]["type"] == "request_too_large"


@pytest.mark.parametrize("marked", [False, True])
def test_100000_messages_are_answered_in_bounded_time(server, marked):
    messages = [
        {"role": ("user", "assistant")[i % 2], "content": [text("x", MARK if marked else None)]}
        for i in range(99_999)
    ]
    began = time.monotonic()
    status, _, reply = server.ask("POST", "/v1/messages", {"max_tokens": 1, "messages": messages})
    assert status == 400, "longer than the context"
    assert "prompt is too long" in json.loads(reply)["error"]["message"]
    assert time.monotonic() - began < 60
    assert server.ask("GET", "/health")[0] == 200


# -- Silence ----------------------------------------------------------------------------------------


def test_a_stream_is_pinged_while_its_prompt_is_computed(start, document):
    """The exact arithmetic is slow enough to wait for."""
    import conftest

    own = start("--compute", "exact", "--context", "8192")
    body = {"max_tokens": 1, "stream": True, "messages": [user(text(document("silence", 4000)))]}
    first, second = own.connect(), own.connect()
    began = time.monotonic()
    first.sendall(conftest.request_bytes("/v1/messages", body))
    got = b""
    while b"message_start" not in got:
        got += first.recv(4096)
    assert time.monotonic() - began < 5, "the lookup comes before the prompt is computed"
    # The second one waits for what the first computes: it is pinged before it has been looked up.
    second.sendall(conftest.request_bytes("/v1/messages", body))
    waiting = b""
    while b"event: ping" not in got or b"event: ping" not in waiting:
        assert time.monotonic() - began < 25 and b"content_block" not in got
        for raw_socket, name in ((first, "got"), (second, "waiting")):
            raw_socket.settimeout(0.5)
            try:
                piece = raw_socket.recv(4096)
            except TimeoutError:
                continue
            if name == "got":
                got += piece
            else:
                waiting += piece
    assert b"HTTP/1.1 200" in waiting and b"event: message_start" not in waiting
    first.close()
    second.close()


def test_a_path_that_is_not_there_is_told_in_the_clients_form(server):
    status, _, reply = server.ask("GET", "/v1/files", headers={"anthropic-version": "2023-06-01"})
    assert status == 404 and json.loads(reply)["error"]["type"] == "not_found_error"
    status, _, reply = server.ask("GET", "/v1/files")
    assert status == 404 and json.loads(reply)["error"]["code"] == "not_found"


def test_documents_and_the_tools_that_clients_run(server):
    document = {"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "Be kind."}}
    body = {"max_tokens": 1, "messages": [{"role": "user", "content": [document, {"type": "text", "text": "hi"}]}]}
    reply = server.post("/v1/messages", body)
    usage = reply["usage"]
    text = {**body, "messages": [{"role": "user", "content": "Notes\nBe kind.\n\nhi"}]}
    same = server.post("/v1/messages", text)["usage"]
    assert same["cache_read_input_tokens"] == usage["input_tokens"] + usage["cache_read_input_tokens"]
    tools = [{"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}]
    forced = {"tools": tools, "tool_choice": {"type": "tool", "name": "bash"}, "max_tokens": 100}
    [call] = server.post("/v1/messages", {**body, **forced})["content"]
    assert call["type"] in ("tool_use", "text")  # a small model may not end the command
    status, _, reply = server.ask("POST", "/v1/messages", {**body, "tools": [{"type": "web_search_20250305", "name": "w"}]})
    assert status == 400
