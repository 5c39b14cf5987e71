"""Why was it read again? Anthropic's diagnostics through the official client, and our own pages about
a request, on the real model."""

import datetime
import json
import time

import pytest
from anthropic.types import Diagnostics
from messages import counts, create, text, tool, total, user


def past(server, request_id):
    return server.get(f"/cache/requests/{request_id}")


def why(server, request_id):
    return past(server, request_id)["prompts"][0]["why"]


def wish(previous):
    return {"previous_message_id": previous and previous.id}


# -- Anthropic's diagnostics ----------------------------------------------------------------------


@pytest.fixture
def first(claude, document):
    """first(name) -> (message, its arguments): a request to come back to."""

    def ask(name, **options):
        arguments = {
            "messages": [user(text(f"Say hello to {name}."))],
            "system": document(f"diagnosed {name}"),
            "tools": [tool(f"{name}_a"), tool(f"{name}_b")],
            "diagnostics": {"previous_message_id": None},
            **options,
        }
        return create(claude, **arguments), arguments

    return ask


def missed(claude, previous_arguments, arguments, usage):
    """Tokens that would have been read besides, had nothing changed."""
    known = ("messages", "system", "tools")
    lengths = [
        total(claude, **{key: given[key] for key in known if key in given})
        for given in (previous_arguments, arguments)
    ]
    return max(min(lengths[0], lengths[1] - 1) - usage.cache_read_input_tokens, 0)


def check_change(claude, first, name, reason, **changed):
    message, arguments = first(name)
    assert message.diagnostics is None, "nothing to compare with yet"
    changed = {**arguments, **changed, "diagnostics": wish(message)}
    again = create(claude, **changed)
    assert isinstance(again.diagnostics, Diagnostics)
    told = again.diagnostics.cache_miss_reason
    assert told.type == reason
    assert told.cache_missed_input_tokens == missed(claude, arguments, changed, again.usage)
    return told


def test_a_changed_tool_is_told(claude, first):
    tools = [tool("tooled_a"), tool("tooled_b", "Something else.")]
    told = check_change(claude, first, "tooled", "tools_changed", tools=tools)
    assert told.cache_missed_input_tokens > 100


def test_reordered_tools_are_told(claude, first):
    tools = [tool("reordered_b"), tool("reordered_a")]
    check_change(claude, first, "reordered", "tools_changed", tools=tools)


def test_a_changed_system_text_is_told(claude, first, document):
    told = check_change(claude, first, "system", "system_changed", system=document("diagnosed anew"))
    assert told.cache_missed_input_tokens > 50


def test_a_changed_message_is_told(claude, first):
    check_change(claude, first, "asker", "messages_changed", messages=[user(text("Say good bye."))])


def test_another_models_name_is_told_and_that_it_cost_nothing(claude, first):
    told = check_change(claude, first, "named", "model_changed", model="another")
    assert told.cache_missed_input_tokens == 0, "the same model answers under any name"


def test_what_only_appends_messages_is_no_miss(claude, first):
    message, arguments = first("appended")
    assert message.diagnostics is None
    messages = arguments["messages"]
    for turn in range(3):
        messages = messages + [
            {"role": "assistant", "content": message.content[0].text},
            user(text(f"And {turn}?", {"type": "ephemeral"} if turn == 1 else None)),
        ]
        arguments = {**arguments, "messages": messages, "diagnostics": wish(message)}
        message = create(claude, **arguments)
        assert message.diagnostics is None, f"turn {turn}"


def test_who_does_not_ask_is_not_told(claude, first):
    message, arguments = first("silent")
    del arguments["diagnostics"]
    assert create(claude, **{**arguments, "system": "Something else."}).diagnostics is None


def test_an_unknown_id_is_not_found_and_no_error(claude, first, server):
    message, arguments = first("unknown")
    for previous in ("msg_0123456789abcdef", "", "no id at all", message._request_id):
        again = create(claude, **{**arguments, "diagnostics": {"previous_message_id": previous}})
        assert again.diagnostics.cache_miss_reason.type == "previous_message_not_found"
        assert again.usage.cache_read_input_tokens > 100


def test_a_wish_of_the_wrong_form_is_ignored_and_said(server, strict_server):
    body = {"model": "any", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi."}]}
    for wrong, place in (
        ("msg_1", "diagnostics: "),
        ({"previous_message_id": 7}, "diagnostics.previous_message_id: "),
    ):
        reply = server.post("/v1/messages", {**body, "diagnostics": wrong})
        assert reply["diagnostics"] is None
        assert place in reply["headers"]["x-reprise-cache-warning"]
    status, _, reply = strict_server.ask("POST", "/v1/messages", {**body, "diagnostics": "msg_1"})
    assert status == 400 and "diagnostics" in json.loads(reply)["error"]["message"]


def test_a_stream_tells_it_in_its_first_event(claude, first):
    message, arguments = first("streamed")
    options = {key: arguments[key] for key in ("messages", "tools")}
    with claude.messages.stream(
        model="any", max_tokens=8, system="Changed.", diagnostics=wish(message), **options
    ) as stream:
        begin = next(event for event in stream if event.type == "message_start")
        told = begin.message.diagnostics.cache_miss_reason
        assert told.type == "system_changed" and told.cache_missed_input_tokens >= 0
        assert stream.get_final_message().diagnostics == begin.message.diagnostics


def test_the_beta_client_reads_the_same(claude, first):
    message, arguments = first("beta")
    options = {key: arguments[key] for key in ("messages", "tools")}
    again = claude.beta.messages.create(
        model="any", max_tokens=8, system="Changed.", diagnostics=wish(message), **options
    )
    assert again.diagnostics.cache_miss_reason.type == "system_changed"


def test_what_did_not_change_but_is_cached_no_more_is_unavailable(start, document):
    server = start()
    claude = server.anthropic()
    messages = [user(text(document("gone")))]
    message = create(claude, messages)
    server.flush()
    again = create(claude, messages, diagnostics=wish(message))
    assert again.diagnostics.cache_miss_reason.type == "unavailable"
    told = why(server, again._request_id)
    assert told["reason"] == "flushed"


# -- Our own page about a request -----------------------------------------------------------------


def test_the_first_difference_in_a_message_is_shown(server, claude, document):
    words = document("differs in a message")
    talk = [user(text(words)), {"role": "assistant", "content": "Noted."}]
    before = create(claude, talk + [user(text("It is 14:31 of a long day, so hurry."))])
    after = create(claude, talk + [user(text("It is 14:32 of a long day, so hurry."))])
    page = past(server, after.id)
    assert page["id"] == after._request_id and page["reply_id"] == after.id
    assert page["state"] == "finished" and page["endpoint"] == "/v1/messages"
    read, write, rest = counts(after.usage)
    assert page["tokens"] == {
        "total": read + write + rest, "read": read, "written": write, "computed": write + rest
    }
    [prompt] = page["prompts"]
    assert prompt["closest"]["id"] == before._request_id
    assert prompt["closest"]["shared_tokens"] == prompt["first_difference"]["token"] == read
    assert prompt["why"] == {"reason": "hit"}, "all that they share"
    place = prompt["first_difference"]
    assert place["part"] == place["this"]["part"] == place["closest"]["part"] == "messages[2]"
    assert place["this"]["offset"] == place["closest"]["offset"] == len("It is 14:3")
    assert "14:32 of a" in place["this"]["excerpt"] and "14:31 of a" in place["closest"]["excerpt"]
    assert all(len(place[side]["excerpt"]) <= 80 for side in ("this", "closest"))
    parts = {part["part"]: part["token"] for part in prompt["parts"]}
    assert list(parts) == ["messages[0]", "messages[1]", "messages[2]"]
    assert parts["messages[0]"] == 0 < parts["messages[1]"] < parts["messages[2]"] < read


def test_the_first_difference_in_a_tool_is_shown(server, client):
    def ask(description):
        function = {"name": "search", "description": description, "parameters": {"type": "object"}}
        other = {"name": "unchanged", "description": "Same.", "parameters": {"type": "object"}}
        return client.chat.completions.create(
            model="any",
            max_tokens=1,
            messages=[{"role": "user", "content": "Find it."}],
            tools=[{"type": "function", "function": each} for each in (other, function)],
        )

    ask("Searches the archive of 2024.")
    after = ask("Searches the archive of 2025.")
    place = past(server, after.id)["prompts"][0]["first_difference"]
    assert place["part"] == "tools[1]"
    assert "of 2025." in place["this"]["excerpt"] and "of 2024." in place["closest"]["excerpt"]


def test_texts_of_other_scripts_are_cut_at_characters(server, claude):
    create(claude, "Ünïcödé 😀😀😀 日本語のテキスト " * 6 + "😀 end")
    after = create(claude, "Ünïcödé 😀😀😀 日本語のテキスト " * 6 + "😃 end")
    place = past(server, after.id)["prompts"][0]["first_difference"]
    assert place["this"]["excerpt"].endswith("😃 end<|im_end|>\n<|im_start|>assistant\n"[:56])
    assert place["this"]["offset"] == len("Ünïcödé 😀😀😀 日本語のテキスト ") * 6


def test_text_completions_have_pages_too(server, client, document):
    words = document("a text completion")
    client.completions.create(model="any", prompt=[words, "Another."], max_tokens=1)
    after = client.completions.create(model="any", prompt=[words + " So.", "Another one"], max_tokens=1)
    page = past(server, after.id)
    assert [prompt["closest"]["prompt"] for prompt in page["prompts"]] == [0, 1]
    assert page["prompts"][0]["first_difference"]["this"]["part"] == "prompt"
    assert page["prompts"][0]["first_difference"]["this"]["offset"] == len(words)


def test_an_expired_prompt_says_when(start, document):
    server = start("--retention", "300ms")
    claude = server.anthropic()
    words = document("expires")
    create(claude, words)
    time.sleep(0.7)
    after = create(claude, words)
    assert after.usage.cache_read_input_tokens == 0
    told = why(server, after.id)
    assert told["reason"] == "expired" and 0 <= told["seconds_ago"] < 60
    when = datetime.datetime.fromisoformat(told["time"].replace("Z", "+00:00"))
    ago = datetime.datetime.now(datetime.timezone.utc) - when
    assert abs(ago.total_seconds() - told["seconds_ago"]) < 30
    assert any("shares" in line and "expired" in line for line in server.log) == (
        after.usage.input_tokens >= 256
    )


def test_an_evicted_prompt_says_when_and_for_whom(start, document):
    server = start("--kv-memory", "19M", "--context", "1024", "--pin-memory", "0")
    claude = server.anthropic()
    words = document("is evicted", 300)
    create(claude, words)
    others = [create(claude, document(f"evicts {i}", 300))._request_id for i in range(4)]
    after = create(claude, words)
    assert after.usage.cache_read_input_tokens < 300
    told = why(server, after.id)
    assert told["reason"] == "evicted" and told["for"] in others and told["seconds_ago"] >= 0
    line = next(line for line in server.log if f"{after._request_id} shares" in line)
    assert "evicted" in line and told["for"] in line


def test_what_was_not_to_be_cached_says_so(server, client, document):
    words = document("not cached")

    def ask(**body):
        messages = [{"role": "user", "content": words}]
        return client.chat.completions.create(
            model="any", messages=messages, max_tokens=1, extra_body=body
        ).id

    ask(cache_prompt=False)
    second = ask()
    assert why(server, second)["reason"] == "not_cached", "the earlier one was not"
    assert why(server, ask())["reason"] == "hit"
    assert why(server, ask(cache_prompt=False))["reason"] == "not_cached", "this one does not read"


def test_another_cache_key_of_the_tenant_is_named(start, document):
    server = start("--cache-key-isolates")
    client = server.openai()
    messages = [{"role": "user", "content": document("isolated")}]

    def ask(key):
        return client.chat.completions.create(
            model="any", messages=messages, max_tokens=1, prompt_cache_key=key
        ).id

    ask("one")
    assert why(server, ask("two"))["reason"] == "other_cache_key"
    assert why(server, ask("two"))["reason"] == "hit"


def test_a_request_that_runs_has_a_page(server, client, document):
    with client.chat.completions.create(
        model="any",
        messages=[{"role": "user", "content": document("runs")}],
        max_tokens=400,
        stream=True,
        extra_body={"ignore_eos": True},
    ) as stream:
        chunk = next(iter(stream))
        assert past(server, chunk.id)["state"] == "computing"
    until = time.monotonic() + 10
    while past(server, chunk.id)["state"] == "computing" and time.monotonic() < until:
        time.sleep(0.01)
    assert past(server, chunk.id)["state"] == "cancelled"


def test_an_unknown_id_is_a_404(server):
    status, _, body = server.ask("GET", "/cache/requests/msg_unknown")
    assert status == 404 and json.loads(body)["error"]["code"] == "not_found"


# -- What is kept ---------------------------------------------------------------------------------


def test_the_list_is_newest_first(start):
    server = start()
    claude = server.anthropic()
    ids = [create(claude, f"Number {i}.").id for i in range(3)]
    listed = server.get("/cache/requests")["requests"]
    assert [request["reply_id"] for request in listed] == ids[::-1]
    assert all(request["tokens"]["total"] > 0 for request in listed)


def test_the_history_is_bounded(start):
    server = start("--history", "2")
    claude = server.anthropic()
    messages = [create(claude, f"Number {i}.") for i in range(3)]
    listed = server.get("/cache/requests")["requests"]
    assert [request["reply_id"] for request in listed] == [messages[2].id, messages[1].id]
    assert server.ask("GET", f"/cache/requests/{messages[0].id}")[0] == 404
    again = create(claude, "Number 3.", diagnostics=wish(messages[0]))
    assert again.diagnostics.cache_miss_reason.type == "previous_message_not_found"


def test_without_history_nothing_is_kept(start):
    server = start("--history", "0")
    claude = server.anthropic()
    message = create(claude, "Hello.")
    assert server.get("/cache/requests") == {"requests": []}
    assert server.ask("GET", f"/cache/requests/{message.id}")[0] == 404
    again = create(claude, "Hello.", diagnostics=wish(message))
    assert again.diagnostics.cache_miss_reason.type == "previous_message_not_found"


def test_background_continuations_are_no_requests(start):
    server = start()
    claude = server.anthropic()
    create(claude, "Tell me a story.", max_tokens=24)
    server.wait_idle()
    assert len(server.get("/cache/requests")["requests"]) == 1
