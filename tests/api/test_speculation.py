"""Guesses at the next tokens change how fast a reply comes, and nothing that a client can see but the counts of
them: `--speculate on` and `off` give the same text, log probabilities and bits of logits."""

import openai
import pytest
from conftest import Server

STORY = [{"role": "user", "content": "Tell me a story about a lighthouse and the people who live there."}]
REPLY_TOKENS = 64


@pytest.fixture(scope="module")
def off(built):
    running = Server("--speculate", "off")
    yield running
    running.stop()


def predicted(text):
    return {"type": "content", "content": text}


def parts(text):
    middle = len(text) // 2
    return predicted([{"type": "text", "text": text[:middle]}, {"type": "text", "text": text[middle:]}])


def create(server, **options):
    """One request with the official client, of which nothing is cached."""
    server.wait_idle()
    server.flush()
    options = {"messages": STORY, "temperature": 0, "max_tokens": REPLY_TOKENS, **options}
    return server.openai().chat.completions.create(model="any", **options)


def counts(usage):
    details = usage.completion_tokens_details
    return details.accepted_prediction_tokens, details.rejected_prediction_tokens


@pytest.fixture(scope="module")
def story(server):
    """The reply to STORY, which nobody predicted; its text has the tokens that were sampled."""
    reply = create(server)
    assert counts(reply.usage) == (0, 0)
    text = reply.choices[0].message.content
    assert len(server.tokens(text, parse_special=False)) == REPLY_TOKENS
    return text


@pytest.mark.parametrize("form", [predicted, parts], ids=["string", "parts"])
def test_a_prediction_that_is_the_reply_is_accepted(server, story, form):
    reply = create(server, prediction=form(story))
    assert reply.choices[0].message.content == story
    assert reply.usage.completion_tokens == REPLY_TOKENS
    assert counts(reply.usage) == (REPLY_TOKENS, 0)


def test_a_prediction_with_one_change_is_found_again_behind_it(server, story):
    words = story.split(" ")
    words[len(words) // 2] = "zebra"
    refused = 0
    for _ in range(20):  # whether anything is guessed at the changed word goes by what steps took
        reply = create(server, prediction=predicted(" ".join(words)))
        assert reply.choices[0].message.content == story
        accepted, rejected = counts(reply.usage)
        assert REPLY_TOKENS * 3 // 4 < accepted < REPLY_TOKENS
        assert rejected < REPLY_TOKENS // 2
        refused += rejected
        if refused:
            break
    assert refused > 0


def test_a_wrong_prediction_costs_a_client_nothing_but_guesses(server, story):
    reply = create(server, prediction=predicted("1. 2. 3. 4. 5. 6. 7. 8. 9. " * 20))
    assert reply.choices[0].message.content == story
    assert reply.usage.completion_tokens == REPLY_TOKENS
    accepted, rejected = counts(reply.usage)
    assert accepted < 8 and rejected < REPLY_TOKENS


def test_a_streams_usage_tells_it_too(server, story):
    options = dict(prediction=predicted(story), stream=True)
    chunks = list(create(server, stream_options={"include_usage": True}, **options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == story
    assert counts(chunks[-1].usage) == (REPLY_TOKENS, 0)
    assert all(chunk.usage is None for chunk in create(server, **options))


def test_all_choices_are_counted(server, story):
    reply = create(server, prediction=predicted(story), n=3)
    assert {choice.message.content for choice in reply.choices} == {story}
    assert counts(reply.usage) == (3 * REPLY_TOKENS, 0)


@pytest.mark.parametrize(
    "prediction, path",
    [
        ("text", "prediction"),
        ({"content": "x"}, "prediction.type"),
        ({"type": "text", "content": "x"}, "prediction.type"),
        ({"type": "content"}, "prediction.content"),
        (predicted(7), "prediction.content"),
        (predicted([{"type": "text", "text": "x"}, {"type": "image_url"}]), "prediction.content[1].type"),
    ],
    ids=str,
)
def test_a_prediction_of_the_wrong_form_is_refused_by_its_path(client, prediction, path):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="any", messages=STORY, max_tokens=1, prediction=prediction)
    assert refused.value.param == path
    assert f"'{path}" in refused.value.body["message"] or f"'{path.rsplit('.', 1)[0]}'" in refused.value.body["message"]


# -- On and off ---------------------------------------------------------------------------------------

LIST = [
    {"role": "user", "content": "Write the numbers from one to twenty, a line each: number 1, number 2 and so on."},
]
SAMPLED = dict(temperature=0.8, top_p=0.95, seed=11)
KINDS = {
    "greedy": dict(temperature=0),
    "seeded": SAMPLED,
    "penalties": dict(SAMPLED, presence_penalty=0.5, frequency_penalty=0.5, repetition_penalty=1.1),
    "greedy, penalties": dict(temperature=0, frequency_penalty=1),
    "min_p, top_k": dict(temperature=1.2, min_p=0.05, top_k=20, seed=3),
    "logit_bias": dict(temperature=0, logit_bias={"28": -100}),
    "stop": dict(temperature=0, stop=["light", "7"]),
    "choices": dict(SAMPLED, n=3),
    "logprobs": dict(SAMPLED, logprobs=True, top_logprobs=3),
    "to the end": dict(temperature=0, max_tokens=160),
    "schema": dict(
        temperature=0,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object", "properties": {"story": {"type": "string"}}}},
        },
    ),
}


def seen(server, messages, **options):
    """(what must be equal, the guesses of a kind that were made)"""
    body = {"messages": messages, "max_tokens": 48, **options}
    reply = server.post("/v1/chat/completions", body)
    choices = [
        (choice["message"]["content"], choice["logits_checksum"], choice["finish_reason"], choice["logprobs"])
        for choice in reply["choices"]
    ]
    return choices, reply["usage"]["completion_tokens"]


@pytest.mark.parametrize("messages", [STORY, LIST], ids=["story", "list"])
@pytest.mark.parametrize("kind", KINDS)
def test_off_gives_the_same_bits(server, off, kind, messages):
    for each in (server, off):
        each.wait_idle()
        each.flush()
    wanted = seen(off, messages, **KINDS[kind])
    assert seen(server, messages, **KINDS[kind]) == wanted, "nothing known"
    assert seen(server, messages, **KINDS[kind]) == wanted, "the reply is in the cache"
    text = wanted[0][0][0]
    server.wait_idle()
    server.flush()
    prediction = predicted(text[: len(text) // 3] + " or so " + text[len(text) // 3 :])
    assert seen(server, messages, prediction=prediction, **KINDS[kind]) == wanted, "predicted"


def of(server, outcome, source):
    return server.metric(f'{outcome}_guesses_total{{source="{source}"}}')


def test_off_guesses_nothing(off, story):
    reply = create(off, prediction=predicted(story))
    assert reply.choices[0].message.content == story
    assert counts(reply.usage) == (0, 0)
    create(off)
    for source in ("tree", "prediction", "ngram"):
        assert of(off, "accepted", source) == of(off, "rejected", source) == 0


def test_metrics_tell_where_guesses_came_from(server, story):
    before = of(server, "accepted", "prediction"), of(server, "rejected", "prediction")
    create(server, prediction=predicted(story))
    # How many are tried at a time depends on what rows cost on this machine at this moment.
    assert REPLY_TOKENS // 8 < of(server, "accepted", "prediction") - before[0] <= REPLY_TOKENS
    assert of(server, "rejected", "prediction") == before[1]

    before = of(server, "accepted", "tree")
    again = server.openai().chat.completions.create(
        model="any", messages=STORY, temperature=0, max_tokens=REPLY_TOKENS
    )
    assert again.choices[0].message.content == story
    assert counts(again.usage) == (0, 0), "nothing was predicted"
    assert of(server, "accepted", "tree") - before > REPLY_TOKENS // 8

    before = of(server, "accepted", "ngram")
    text = "The lamp is lit at dusk by Anna, and it is put out at dawn by Peter, who lives below. "
    asked = {"prompt": text * 4, "max_tokens": 40, "temperature": 0, "cache_prompt": False}
    assert server.post("/v1/completions", asked)["choices"][0]["text"].strip() in text * 4
    assert of(server, "accepted", "ngram") - before > 4


def test_the_word_is_on_or_off(built):
    with pytest.raises(RuntimeError, match="--speculate"):
        Server("--speculate", "perhaps")
