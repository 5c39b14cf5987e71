"""OpenAI's cache fields through the official client, on the real model."""

import openai
import pytest

POINT = {"mode": "explicit"}


def part(words, point=None):
    return {"type": "text", "text": words, **({"prompt_cache_breakpoint": point} if point else {})}


def ask(client, *parts, question="So?", **options):
    """(prompt tokens, read, written, headers)"""
    messages = [{"role": "user", "content": [*parts, part(question)]}]
    options = {"model": "any", "max_tokens": 2, "temperature": 0, **options}
    response = client.chat.completions.with_raw_response.create(messages=messages, **options)
    usage = response.parse().usage
    details = usage.prompt_tokens_details
    return usage.prompt_tokens, details.cached_tokens, details.cache_write_tokens, response.headers


def test_what_a_breakpoint_keeps_is_counted_and_read(client, document):
    words = document("openai point")
    total, read, write, headers = ask(client, part(words, POINT))
    assert write > 100 and read + write < total
    assert headers["x-reprise-cache"] == f"read={read}, write={write}, computed={total - read}"
    assert "x-reprise-cache-warning" not in headers
    _, read_again, write_again, _ = ask(client, part(words, POINT), question="Another one?")
    assert read_again >= read + write and write_again == 0


def test_without_marks_nothing_is_counted_as_written(client, document):
    words = document("openai automatic")
    assert ask(client, part(words))[2] == 0
    total, read, write, _ = ask(client, part(words))
    assert (read, write) == (total, 0)


def test_of_many_breakpoints_the_latest_four_are_written(client, document):
    parts = [part(document(f"many {i}", 30), POINT) for i in range(7)]
    total, read, write, headers = ask(client, *parts)
    assert "x-reprise-cache-warning" not in headers, "more are no error"
    assert read + write > total - 12, "the latest of all is among them"


def test_a_stream_and_a_whole_reply_count_alike(client, document):
    words = document("openai stream")
    messages = [{"role": "user", "content": [part(words, POINT)]}]
    options = dict(model="any", max_tokens=2, messages=messages)
    *_, last = client.chat.completions.create(
        **options, stream=True, stream_options={"include_usage": True}
    )
    details = last.usage.prompt_tokens_details
    assert details.cache_write_tokens > 100
    assert details.cached_tokens + details.cache_write_tokens <= last.usage.prompt_tokens


def test_explicit_without_marks_neither_reads_nor_keeps(client, document):
    words = document("openai explicit")
    options = dict(extra_body={"prompt_cache_options": {"mode": "explicit"}})
    assert ask(client, part(words), **options)[1:3] == (0, 0)
    assert ask(client, part(words))[1] < 40, "nothing was kept"
    assert ask(client, part(words), **options)[1] == 0, "nothing is read"


def test_explicit_with_marks_reads_and_keeps(client, document):
    words = document("openai explicit marks")
    options = dict(extra_body={"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}})
    _, read, write, _ = ask(client, part(words, POINT), **options)
    assert write > 100
    assert ask(client, part(words, POINT), **options)[1] >= read + write


@pytest.mark.parametrize(
    "fields",
    [{"prompt_cache_retention": "24h"}, {"prompt_cache_options": {"ttl": "30m"}}],
    ids=str,
)
def test_a_lifetime_for_the_whole_prompt_keeps_the_whole_prompt(client, document, fields):
    words = document(f"openai whole {fields}")
    total, read, write, _ = ask(client, part(words), extra_body=fields)
    assert read + write == total


def test_in_memory_retention_is_automatic_caching(client, document):
    words = document("openai in memory")
    options = dict(extra_body={"prompt_cache_retention": "in_memory"})
    assert ask(client, part(words), **options)[2] == 0
    total, read, _, _ = ask(client, part(words), **options)
    assert read == total


def test_text_completions_take_the_retention_too(server, document):
    body = {"prompt": document("openai text"), "max_tokens": 1, "prompt_cache_retention": "24h"}
    usage = server.post("/v1/completions", body)["usage"]
    details = usage["prompt_tokens_details"]
    assert details["cached_tokens"] + details["cache_write_tokens"] == usage["prompt_tokens"]


def test_the_cache_key_separates_only_where_the_operator_says_so(client, start, document):
    words = document("openai key")
    isolating = start("--cache-key-isolates").openai()
    for each, shared in ((client, True), (isolating, False)):
        ask(each, part(words), prompt_cache_key="one")
        total, read, _, _ = ask(each, part(words), prompt_cache_key="two")
        assert (read == total) == shared
        total, read, _, _ = ask(each, part(words), prompt_cache_key="one")
        assert read == total


POINT_PATH = "messages[0].content[0].prompt_cache_breakpoint"
BREACHES = {
    "an unknown ttl": ({"mode": "explicit", "ttl": "soon"}, f"{POINT_PATH}.ttl: Input should be '30m' or '12h'"),
    "a negative ttl": ({"mode": "explicit", "ttl": "-30m"}, f"{POINT_PATH}.ttl: Input should be '30m' or '12h'"),
    "an unknown mode": ({"mode": "implicit"}, f"{POINT_PATH}.mode: Input should be 'explicit'"),
    "no object": (True, f"{POINT_PATH}: Input should be an object"),
}


@pytest.fixture
def strict(strict_server):
    return strict_server.openai()


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_ignored_and_said(client, name):
    point, sentence = BREACHES[name]
    _, _, write, headers = ask(client, part("Hello.", point))
    assert write == 0
    assert headers["x-reprise-cache-warning"] == sentence


@pytest.mark.parametrize("name", BREACHES)
def test_a_strict_server_refuses_it(strict, name):
    point, sentence = BREACHES[name]
    with pytest.raises(openai.BadRequestError) as refused:
        ask(strict, part("Hello.", point))
    assert refused.value.body["message"] == sentence


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt_cache_options": {"mode": "x"}}, "prompt_cache_options.mode: Input should be 'implicit' or 'explicit'"),
        ({"prompt_cache_options": {"ttl": "0s"}}, "prompt_cache_options.ttl: Input should be '30m'"),
        ({"prompt_cache_options": 5}, "prompt_cache_options: Input should be an object"),
        ({"prompt_cache_retention": "2d"}, "prompt_cache_retention: Input should be 'in_memory' or '24h'"),
    ],
)
def test_request_fields_out_of_range_are_ignored_and_said(client, strict, fields, sentence):
    *_, headers = ask(client, part("Hello."), extra_body=fields)
    assert headers["x-reprise-cache-warning"] == sentence
    with pytest.raises(openai.BadRequestError):
        ask(strict, part("Hello."), extra_body=fields)
