"""What GET /cache/requests/{id} says in words, and the prompts' text beside it, on the real model."""

import itertools
import json

import pytest
from conftest import ACME, OPS, ZENITH
from messages import create

QUERY = "?text=true"


def past(server, request_id, query=""):
    return server.get(f"/cache/requests/{request_id}{query}")


def prompt_of(server, message, query=""):
    return past(server, message.id, query)["prompts"][0]


def whole(prompt):
    return "".join(part["text"] for part in prompt["text"])


def check_text(prompt):
    """The text's parts are the prompt, without gap; what was read of them is what was read."""
    ends = list(itertools.accumulate(part["tokens"] for part in prompt["text"]))
    assert [part["token"] for part in prompt["text"]] == [0, *ends[:-1]]
    assert ends[-1] == prompt["tokens"]["total"]
    assert sum(part["read"] for part in prompt["text"]) == prompt["tokens"]["read"]
    for part in prompt["text"]:
        assert 0 <= part["read_characters"] <= len(part["text"])
        assert (part["read_characters"] == len(part["text"])) == (part["read"] == part["tokens"])


def check_difference(prompt, closest):
    """Both sides as in the texts; equal before the place, different at it, equal again where said."""
    place = prompt["first_difference"]
    at = place["character"]
    texts = {"this": whole(prompt), "closest": whole(closest)}
    for name, text in texts.items():
        side = place[name]
        assert text[:at].endswith(side["before"])
        assert text[at:].startswith(side["differs"] + side["after"])
        assert text[at : at + side["length"]].startswith(side["differs"])
        if side["excerpt"]:
            assert side["excerpt"] == side["before"] + side["differs"] + side["after"]
    assert texts["this"][:at] == texts["closest"][:at]
    assert texts["this"][at : at + 1] != texts["closest"][at : at + 1]
    return place


def test_a_clock_in_the_system_text_is_named_and_what_it_moved_is_counted(server, claude, document):
    words = document("clocked", 120)
    first = create(claude, "Go.", system=f"It is 14:03:22. {words}")
    after = create(claude, "Go.", system=f"It is 14:05:10. {words}")
    prompt = prompt_of(server, after, QUERY)
    closest = past(server, prompt["closest"]["id"], QUERY)["prompts"][prompt["closest"]["prompt"]]
    assert past(server, first.id)["id"] == prompt["closest"]["id"]
    check_text(prompt)
    check_text(closest)
    place = check_difference(prompt, closest)
    assert (place["this"]["differs"], place["closest"]["differs"]) == ("5:10", "3:22")

    # Both prompts end alike: the tokens behind the clock, as another tokenizer's count of the same text.
    text = whole(prompt)
    behind = text[text.index("14:05:10") + len("14:05:10") :]
    moved = len(server.post("/tokenize", {"content": behind, "parse_special": True})["tokens"])
    told = prompt["explanation"]
    assert told["moved_tokens"] == moved > 120
    assert told["what"] == (
        "The clock in the system text (“14:03:22” before, “14:05:10” now) "
        f"moved {moved:,} tokens out of reach."
    )
    assert told["advice"].startswith("Put the clock behind the document")
    listed = next(each for each in server.get("/cache/requests")["requests"] if each["reply_id"] == after.id)
    assert (listed["reason"], listed["new_from"]) == ("hit", "system")


def test_the_system_text_is_known_as_such_in_openais_messages_too(server, client, document):
    words = document("openai clock")

    def ask(hour):
        system = {"role": "system", "content": f"It is {hour} o'clock. {words}"}
        messages = [system, {"role": "user", "content": "Go."}]
        return client.chat.completions.create(model="any", messages=messages, max_tokens=1)

    ask("nine")
    told = prompt_of(server, ask("ten"))["explanation"]["what"]
    assert told.startswith("The clock in the system text (“nine” before, “ten” now) moved "), told


def test_what_is_read_again_needs_no_advice(server, claude, document):
    words = document("unchanged words")
    create(claude, words)
    again = prompt_of(server, create(claude, words))
    assert again["explanation"]["advice"] is None
    assert again["explanation"]["what"].startswith("The whole prompt was read")
    assert again["explanation"]["moved_tokens"] == 0


def test_an_evicted_prompt_is_told_what_would_keep_it(start, document):
    server = start("--kv-memory", "19M", "--context", "1024", "--pin-memory", "0")
    claude = server.anthropic()
    words = document("evicted words", 300)
    first = create(claude, words)
    for index in range(4):
        create(claude, document(f"takes room {index}", 300))
    after = prompt_of(server, create(claude, words))
    told = after["explanation"]
    shared, read = after["closest"]["shared_tokens"], after["tokens"]["read"]
    assert told["what"].startswith(f"It begins with the same {shared:,} tokens as {first._request_id}, of which ")
    assert ("none were read" if read == 0 else f"{read:,} token") in told["what"]
    assert f"to make room for {after['why']['for']}." in told["what"]
    assert "--kv-memory" in told["advice"] and "cache_control" in told["advice"]


def test_below_the_minimum_is_told(start):
    server = start("--cache-minimum-tokens", "500")
    claude = server.anthropic()
    create(claude, "Hello, who are you?")
    told = prompt_of(server, create(claude, "Hello, who are you?"))["explanation"]["what"]
    assert told.startswith("This request has fewer tokens than the minimum of 500 tokens"), told


def test_no_word_tells_one_tenant_of_another(guarded, document):
    server = guarded("--kv-memory", "19M", "--context", "1024", "--pin-memory", "0")
    words = document("private words", 300)
    ours, theirs = server.server.anthropic(ACME), server.server.anthropic(ZENITH)
    create(ours, words)
    ids = [create(theirs, document(f"foreign {index}", 300))._request_id for index in range(4)]
    again = create(ours, words)
    _, page = server.json(ACME, f"/cache/requests/{again.id}{QUERY}")
    assert "to make room for another tenant's request." in page["prompts"][0]["explanation"]["what"]
    shown = json.dumps(page)
    assert "zenith" not in shown and not any(each in shown for each in ids)
    # The same words from another tenant: nothing is said of ours.
    told = create(theirs, words)
    _, page = server.json(ZENITH, f"/cache/requests/{told.id}")
    assert "acme" not in json.dumps(page)
    _, page = server.json(OPS, f"/cache/requests/{told.id}")
    assert "another tenant's (acme" in page["prompts"][0]["explanation"]["what"]


def test_the_text_of_characters_that_tokens_split_is_whole(server, client):
    words = "Ångström 😀🏳️‍🌈 日本語 " * 7
    reply = client.completions.create(model="any", prompt=words, max_tokens=1)
    prompt = prompt_of(server, reply, QUERY)
    check_text(prompt)
    assert whole(prompt).endswith(words)


def test_a_long_text_is_asked_for_in_pieces(server, client, document):
    words = [document("first piece"), document("second piece")]
    reply = client.completions.create(model="any", prompt=words, max_tokens=1)
    page = past(server, reply.id, QUERY)
    assert [whole(prompt) for prompt in page["prompts"]] == words
    assert [prompt["text_next"] for prompt in page["prompts"]] == [None, None]
    page = past(server, reply.id, f"{QUERY}&prompt=1&from=10")
    assert "text" not in page["prompts"][0]
    shown = page["prompts"][1]["text"]
    assert shown[0]["token"] == 10 and words[1].endswith("".join(part["text"] for part in shown))
    assert "text" not in past(server, reply.id)["prompts"][0]


@pytest.mark.parametrize("query", ["?text=true&from=-1", "?text=true&prompt=two", "?text=true&from="])
def test_a_wrong_place_in_a_text_is_refused(server, claude, query):
    message = create(claude, "Where?")
    status, _, body = server.ask("GET", f"/cache/requests/{message.id}{query}")
    assert status == 400 and "whole number" in json.loads(body)["error"]["message"]
