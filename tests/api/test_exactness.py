"""A hit never changes the answer: the bits of all logits sampled from, by their checksum, and the log
probabilities are equal however the prompt came to be known. Equality, no tolerance."""

import concurrent.futures

import pytest

LENGTH = 150
PROMPT = [(i * i * 31 + 17 * i) % 40000 + 500 for i in range(LENGTH)]


def run(server, prompt, **options):
    """(what must be equal, tokens read)"""
    body = {
        "prompt": prompt,
        "max_tokens": 8,
        "temperature": 0,
        "logprobs": 5,
        "ignore_eos": True,
        **options,
    }
    reply = server.post("/v1/completions", body)
    choice = reply["choices"][0]
    assert int(choice["logits_checksum"], 16) != 0
    seen = (choice["logits_checksum"], choice["text"], str(choice["logprobs"]))
    return seen, reply["usage"]["prompt_tokens_details"]["cached_tokens"]


def cold(server, prompt, **options):
    server.wait_idle()
    server.flush()
    seen, read = run(server, prompt, **options)
    assert read == 0
    return seen


@pytest.fixture(scope="module")
def reference(server):
    return cold(server, PROMPT)


def test_the_checksum_tells_prompts_apart(server, reference):
    changed = PROMPT[:-1] + [PROMPT[-1] + 1]
    assert cold(server, changed)[0] != reference[0]


def test_after_a_flush(server, reference):
    assert cold(server, PROMPT) == reference


def test_wholly_read(server, reference):
    cold(server, PROMPT)
    assert run(server, PROMPT) == (reference, LENGTH)


def test_not_cached_at_all(server, reference):
    assert run(server, PROMPT, cache_prompt=False) == (reference, 0)


@pytest.mark.parametrize(
    "common", [1, 2, *range(30, 35), *range(62, 67), *range(94, 99), *range(126, 131), 148, 149]
)
def test_partly_read(server, reference, common):
    cold(server, PROMPT[:common] + [40001 + i for i in range(40)])
    assert run(server, PROMPT) == (reference, common)


@pytest.mark.parametrize("length", [1, 2, *range(30, 35), *range(62, 67), *range(126, 131)])
def test_prompts_that_end_around_a_blocks_edge(server, length):
    prompt = PROMPT[:length]
    first = cold(server, prompt)
    assert run(server, prompt) == (first, length)
    cold(server, prompt[: length // 2] + [45000])
    assert run(server, prompt)[0] == first


def test_grown_token_by_token(server, reference):
    server.wait_idle()
    server.flush()
    for length in range(28, 68):
        run(server, PROMPT[:length], max_tokens=1)
    assert run(server, PROMPT)[0] == reference


@pytest.mark.parametrize("shared", [0, 40, 149])
def test_in_a_batch_of_eight(server, reference, shared):
    """Others of other lengths, partly with a common prefix, start before and run beside."""
    server.wait_idle()
    server.flush()
    others = [PROMPT[:shared] + [3000 + 97 * i + j for j in range(20 + 31 * i)] for i in range(7)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(run, server, other, max_tokens=40) for other in others]
        alone = [pool.submit(run, server, PROMPT) for _ in range(1)]
        assert [job.result()[0] for job in alone] == [reference]
        beside = [job.result()[0] for job in running]
    for other, seen in zip(others, beside):
        assert cold(server, other, max_tokens=40) == seen


def test_eight_of_the_same_at_once(server, reference):
    server.wait_idle()
    server.flush()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {seen for seen, _ in pool.map(lambda _: run(server, PROMPT), range(8))} == {reference}


@pytest.mark.parametrize(
    "options",
    [
        ("--threads", "1"),
        ("--threads", "2"),
        ("--prefill-chunk", "1"),
        ("--prefill-chunk", "7"),
        ("--prefill-chunk", "33"),
        ("--prefill-chunk", "64", "--threads", "1"),
        ("--stream-pause", "1ms"),
    ],
    ids=" ".join,
)
def test_with_other_threads_and_chunks(server, start, reference, options):
    other = start(*options)
    assert cold(other, PROMPT) == reference
    assert run(other, PROMPT) == (reference, LENGTH)
    cold(other, PROMPT[:45] + [40001])
    assert run(other, PROMPT) == (reference, 45)


def test_after_eviction_and_recomputation(start, reference):
    small = start("--kv-memory", "9M")  # about 16 blocks: 3 such prompts
    assert cold(small, PROMPT) == reference
    for i in range(6):
        run(small, [9000 + 211 * i + j for j in range(LENGTH)])
    evicted = small.metric("cache_evicted_blocks_total")
    assert evicted > 0
    seen, read = run(small, PROMPT)
    assert (seen, read < LENGTH) == (reference, True)


def test_text_decoded_is_text_prefilled(server):
    """A continuation over tokens that were decoded equals one over the same tokens prefilled."""
    server.wait_idle()
    server.flush()
    body = {"prompt": PROMPT, "max_tokens": 50, "temperature": 0, "ignore_eos": True, "logprobs": 0}
    reply = server.post("/v1/completions", body)["choices"][0]
    continued = PROMPT + server.tokens(reply["text"], parse_special=False)
    warm, read = run(server, continued)
    assert read > LENGTH
    assert cold(server, continued) == warm


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_continued_conversation(server, document, temperature):
    """The reply was decoded; the next turn reads it, and equals the same conversation cold."""

    def chat(messages, **options):
        body = {"messages": messages, "max_tokens": 20, "seed": 3, "logprobs": True, **options}
        reply = server.post("/v1/chat/completions", body)
        return reply["choices"][0], reply["usage"]

    server.wait_idle()
    server.flush()
    messages = [{"role": "user", "content": document("continued", 70)}]
    for turn in range(4):
        choice, _ = chat(messages, temperature=temperature, max_tokens=33 + turn)
        messages.append({"role": "assistant", "content": choice["message"]["content"]})
        messages.append({"role": "user", "content": f"Then? ({turn})"})
    warm, usage = chat(messages, temperature=0)
    assert usage["prompt_tokens_details"]["cached_tokens"] > 150
    server.wait_idle()
    server.flush()
    fresh, usage = chat(messages, temperature=0)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert fresh == warm
