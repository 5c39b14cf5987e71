"""What is read from the cache: counted to the token, whatever the sampling, turn after turn."""

import concurrent.futures

import pytest


def complete(server, prompt, **options):
    body = {"prompt": prompt, "max_tokens": 4, "temperature": 0, **options}
    return server.post("/v1/completions", body)


def read_of(reply):
    return reply["usage"]["prompt_tokens_details"]["cached_tokens"]


def chat(server, messages, **options):
    body = {"messages": messages, "max_tokens": 24, "temperature": 0, **options}
    return server.post("/v1/chat/completions", body)


SAMPLING = [
    {"temperature": 1.7},
    {"top_p": 0.5, "temperature": 1},
    {"top_k": 3, "temperature": 1},
    {"min_p": 0.2, "temperature": 1},
    {"seed": 99, "temperature": 1},
    {"stop": ["the"]},
    {"max_tokens": 9},
    {"presence_penalty": 1.5},
    {"frequency_penalty": -1},
    {"repetition_penalty": 1.3},
    {"logit_bias": {"100": 5}},
    {"logprobs": 3},
    {"n": 2},
    {"stream": False, "ignore_eos": True},
    {"user": "somebody", "prompt_cache_key": "k"},
]


def test_sampling_is_no_part_of_the_key(server, document):
    prompt = server.tokens(document("sampling"))
    complete(server, prompt)
    for parameters in SAMPLING:
        assert read_of(complete(server, prompt, **parameters)) == len(prompt), parameters


def test_streaming_is_no_part_of_the_key(server, document):
    prompt = document("streaming")
    client = server.openai()
    options = dict(model="any", prompt=prompt, max_tokens=2, stream=True)
    for wanted in (0, None):
        *_, last = client.completions.create(**options, stream_options={"include_usage": True})
        read, total = last.usage.prompt_tokens_details.cached_tokens, last.usage.prompt_tokens
    assert read == total


@pytest.mark.parametrize("common", [1, 5, 31, 32, 33, 63, 64, 65, 100])
def test_a_prefix_is_read_to_the_token(server, common):
    server.wait_idle()
    server.flush()
    first = [(7 * i) % 20000 + 1000 for i in range(130)]
    other = first[:common] + [(11 * i) % 20000 + 30001 for i in range(130 - common)]
    assert read_of(complete(server, first)) == 0
    assert read_of(complete(server, other)) == common


def test_cache_prompt_false_neither_reads_nor_publishes(server, document):
    prompt = server.tokens(document("private"))
    before = server.wait_idle()["blocks"]["cached"]
    assert read_of(complete(server, prompt, cache_prompt=False)) == 0
    assert server.wait_idle()["blocks"]["cached"] == before
    assert read_of(complete(server, prompt)) < 40
    assert read_of(complete(server, prompt, cache_prompt=False)) == 0
    assert read_of(complete(server, prompt)) == len(prompt)


def test_a_flush_empties_the_cache(server, document):
    prompt = server.tokens(document("flush"))
    complete(server, prompt)
    server.wait_idle()
    assert server.flush() > 0
    assert server.get("/cache")["blocks"]["cached"] == 0
    assert read_of(complete(server, prompt)) == 0


def test_each_turn_computes_only_what_is_new(server, document):
    messages = [{"role": "system", "content": document("turns", 200)}]
    known = 0
    for turn in range(6):
        messages.append({"role": "user", "content": f"Question {turn}: what do you make of this?"})
        reply = chat(server, messages)
        usage = reply["usage"]
        if turn:
            assert read_of(reply) >= known - 2, f"turn {turn}"
        known = usage["prompt_tokens"] + usage["completion_tokens"]
        messages.append({"role": "assistant", "content": reply["choices"][0]["message"]["content"]})


def test_a_reply_sent_back_as_text_is_read_though_its_tokens_were_others(server, document):
    """Hot sampling spells words by unusual tokens, which their text is not tokenised to."""
    parted = 0
    for seed in range(60):
        if seed >= 6 and parted:
            break
        messages = [{"role": "user", "content": document(f"parts {seed}", 60)}]
        options = dict(temperature=2, seed=seed, max_tokens=40, logprobs=True)
        reply = chat(server, messages, **options)
        content = reply["choices"][0]["logprobs"]["content"]
        text = reply["choices"][0]["message"]["content"]
        parted += len(server.tokens(text, parse_special=False)) != len(content)
        server.wait_idle()
        messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]
        rendered = server.post("/apply-template", {"messages": messages[:2], "add_generation_prompt": False})
        known = len(server.tokens(rendered["prompt"])) - 2  # less the turn's end and line break
        again = chat(server, messages, max_tokens=1)
        assert read_of(again) >= known - 1, f"seed {seed}"
    assert parted > 0, "no reply was tokenised otherwise, so nothing was tested"


def test_requests_at_once_share_one_computation(server, document):
    prompt = server.tokens(document("shared", 700))
    before = server.get("/cache")["tokens"]["computed"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda i: complete(server, prompt + [1000 + i]), range(8)))
    computed = server.get("/cache")["tokens"]["computed"] - before
    assert len({reply["choices"][0]["text"] for reply in replies}) >= 1
    assert computed <= 1.15 * len(prompt) + 8


def test_a_cancelled_request_leaves_what_it_computed(server, document):
    import conftest

    prompt = server.tokens(document("cancelled", 2500))
    raw = server.connect()
    raw.sendall(conftest.request_bytes("/v1/completions", {"prompt": prompt, "stream": True}))
    start = server.get("/cache")["tokens"]["computed"]
    while server.get("/cache")["tokens"]["computed"] < start + 600:
        pass
    raw.close()
    server.wait_idle()
    assert read_of(complete(server, prompt)) >= 512
