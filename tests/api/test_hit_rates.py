"""What promises are for, on the real model: how much of marked and of unmarked prompts is read back while
three times what the pool holds passes through, and what requests find at the very end of a promise.

The servers here run on a clock that stands still until a test moves it (tests/app/clocked_main.cc), so
lifetimes pass at once and to the millisecond.
"""

import concurrent.futures
import itertools
import math
import random

import pytest
from messages import MARK, counts, create, text, user

TTL_MS = 300_000  # of MARK
RETENTION = "5m"  # the same for what nothing promises, so that only the promise makes a difference

# The long scenario in figures; whether a promise is kept does not depend on how long a prefix is, but on how
# full the pool is, so prefixes are short and the pool is small:
#   50 marked prefixes of 97 to 128 tokens = 200 blocks of 32 tokens: what --pin-memory holds;
#   the pool has 228 blocks, 28 of them for all that is not promised;
#   noise is more than three times what the pool holds.
CONVERSATIONS = 50
ROUNDS = 20
PREFIX_TOKENS = 97
PREFIX_WORDS = 85
CONTROLS = 4  # conversations of the same form, asked as often, without marks; they count as noise
NOISE_TOKENS = 256  # of one request
CLIENTS = 8  # that ask for the marked prefixes side by side, since a batch takes hardly longer than one
LONG_SCENARIO = ("--kv-memory", "123M", "--pin-memory", "108M", "--context", "512")


def random_tokens(count, seeds=itertools.count()):
    """A prompt that shares nothing with any other."""
    draw = random.Random(next(seeds))
    return [draw.randrange(1000, 40000) for _ in range(count)]


def make_noise(server, tokens):
    server.post("/v1/completions", {"prompt": random_tokens(tokens), "max_tokens": 0})


def await_free_pool(server):
    """The engine looks at a moved clock at once, but not before the call that moved it has ended."""
    for _ in range(100):
        blocks = server.wait_idle()["blocks"]
        if blocks["free"] == blocks["total"]:
            return True
    return False


def test_the_ordinary_program_has_no_test_clock(server):
    for method in ("POST", "GET"):
        status, _, body = server.ask(method, "/test/clock", {"advance_ms": 1})
        assert status == 404, body


def test_the_test_clock_refuses_what_is_no_time(start):
    clocked = start(clocked=True)
    assert clocked.advance(5) == 5
    for wrong in ({"advance_ms": -1}, {"advance_ms": "soon"}, [1], b"{"):
        assert clocked.ask("POST", "/test/clock", wrong)[0] == 400
    assert clocked.advance(0) == 5


class Conversation:
    """One long prefix and ever new questions behind it, that nothing is generated for."""

    def __init__(self, claude, prefix, mark):
        self.claude, self.prefix, self.mark = claude, prefix, mark
        self.boundary = None  # tokens up to the end of the prefix, as its first request counted them

    def ask(self, question):
        """Tokens read."""
        message = [user(text(self.prefix, self.mark), text(question))]
        read, write, _ = counts(create(self.claude, message, max_tokens=0).usage)
        if self.boundary is None:
            self.boundary = read + write
        else:
            assert write == 0, "what is promised already is not written again"
        return read


def test_marked_prefixes_are_read_in_full_until_their_time_is_up(start, document, capsys):
    server = start(*LONG_SCENARIO, "--retention", RETENTION, clocked=True)
    claude = server.anthropic()
    blocks = server.get("/cache")["blocks"]["total"]
    noise_a_round = math.ceil(3 * blocks * 32 / ROUNDS / NOISE_TOKENS) * NOISE_TOKENS

    def conversations(name, count, mark):
        return [Conversation(claude, document(f"{name} {i}", PREFIX_WORDS), mark) for i in range(count)]

    marked = conversations("hit", CONVERSATIONS, MARK)
    controls = conversations("control", CONTROLS, None)

    template = max([each.ask("Question 0?") for each in marked])  # what all of them begin with
    assert template < 40
    for each in marked:
        assert PREFIX_TOKENS <= each.boundary <= 128
    length = marked[0].boundary  # of the controls' prefixes too, give or take a token

    unmarked_read = 0
    for round_number in range(1, ROUNDS + 1):
        for each in controls:
            read = each.ask(f"Question {round_number}?")
            unmarked_read += max(min(read, length) - template, 0)
        for _ in range((noise_a_round - CONTROLS * length) // NOISE_TOKENS + 1):
            make_noise(server, NOISE_TOKENS)
        server.advance(TTL_MS - 1)
        if round_number == ROUNDS:
            break  # what follows is after the end
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            reads = list(pool.map(lambda each: each.ask(f"Question {round_number}?"), marked))
        for each, read in zip(marked, reads):
            assert read >= each.boundary, f"round {round_number}: {each.prefix[:14]}"
    share = unmarked_read / (CONTROLS * ROUNDS * (length - template))
    assert share < 1, "without a mark a prefix is nothing that noise could not drive out"

    page = server.get("/cache")
    assert page["counters"]["evicted_blocks"] > 2 * blocks, "there was pressure"
    server.advance(1)
    assert await_free_pool(server), "what nothing holds any more is free at once"
    for each in marked:
        head = [user(text(" ".join(each.prefix.split()[:40])))]
        read, _, _ = counts(create(claude, head, max_tokens=0).usage)
        assert read <= template, "nothing of the prefix is left"
    with capsys.disabled():
        print(
            f"\nmarked prefixes: every token of {CONVERSATIONS} x {ROUNDS - 1} requests read; "
            f"the same unmarked: {100 * share:.1f} %"
        )


# -- At the very end of a promise -------------------------------------------------------------------

# 10 short prefixes of 4 blocks each fill most of what promises may hold; of the pool's 59 blocks they leave
# 19, and in each group others ask for 48.
SHORT_SCENARIO = ("--kv-memory", "32M", "--pin-memory", "25M", "--context", "512")
PROMPTS = 10
GROUPS = 10  # of PROMPTS requests; twice, so 200 requests in all
OTHERS = 6  # requests of 256 tokens


class Edge:
    """Prompts whose promises end at one time, give or take 100 ms."""

    def __init__(self, server, document):
        self.server, self.claude = server, server.anthropic()
        self.prompts = [document(f"edge {i}", 70) for i in range(PROMPTS)]
        self.cold = []
        for prompt in self.prompts:
            server.flush()
            reply = self.ask(prompt)
            self.cold.append((reply.logits_checksum, reply.content))
            assert reply.usage.cache_read_input_tokens == 0
        server.flush()
        self.boundaries = []

    def ask(self, prompt, mark=None):
        return create(self.claude, [user(text(prompt, mark), text("Go on."))], max_tokens=2)

    def write(self, offsets_ms):
        """Marks prompt i so that its promise will end offsets_ms[i] after now + TTL; they ascend."""
        now, self.boundaries = 0, []
        for prompt, offset in zip(self.prompts, offsets_ms):
            self.server.advance(offset - now)
            now = offset
            read, write, _ = counts(self.ask(prompt, MARK).usage)
            assert write > 64
            self.boundaries.append(read + write)
        return now

    def press(self):
        make_noise(self.server, 256)

    def under_pressure(self):
        return self.server.get("/cache")["counters"]["evicted_blocks"] > 5 * GROUPS

    def read(self, number):
        """Asks prompt `number` again: was its prefix read?"""
        reply = self.ask(self.prompts[number])
        assert (reply.logits_checksum, reply.content) == self.cold[number], "the text of a cold one"
        return reply.usage.cache_read_input_tokens >= self.boundaries[number]


@pytest.fixture
def edge(start, document):
    return Edge(start(*SHORT_SCENARIO, "--retention", RETENTION, clocked=True), document)


def test_a_request_just_before_the_end_of_a_promise_hits_and_one_just_after_misses(edge):
    draw = random.Random(6)
    hits = 0
    with concurrent.futures.ThreadPoolExecutor(PROMPTS + OTHERS) as pool:
        for _ in range(GROUPS):
            edges = [99, 100, 101]  # the moment itself, and a millisecond on either side
            others = [ms for ms in range(201) if ms not in edges]
            offsets = sorted(edges + draw.sample(others, PROMPTS - len(edges)))
            last = edge.write(offsets)
            edge.server.advance(TTL_MS + 100 - last)
            pressure = [pool.submit(edge.press) for _ in range(OTHERS)]
            found = list(pool.map(edge.read, range(PROMPTS)))
            assert found == [offset > 100 for offset in offsets]
            hits += sum(found)
            for each in pressure:
                each.result()
            edge.server.advance(2 * TTL_MS)
    assert 0 < hits < GROUPS * PROMPTS
    assert edge.under_pressure()


def test_while_promises_end_requests_hit_or_miss_and_get_the_right_text(edge):
    draw = random.Random(7)
    with concurrent.futures.ThreadPoolExecutor(PROMPTS + OTHERS) as pool:
        for _ in range(GROUPS):
            last = edge.write(sorted(draw.sample(range(201), PROMPTS)))
            edge.server.advance(TTL_MS - last)
            asked = [pool.submit(edge.press) for _ in range(OTHERS)]
            for number in draw.sample(range(PROMPTS), PROMPTS):
                asked.append(pool.submit(edge.read, number))
                edge.server.advance(20)
            for each in asked:
                each.result()  # raises what went wrong
            edge.server.advance(2 * TTL_MS)
    assert edge.under_pressure()
