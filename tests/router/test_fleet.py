"""What several servers behind the router do together: they read as much as one server would, and nobody notices when
one of them goes.
"""

import contextlib
import pathlib
import re
import threading

import pytest
from api.conftest import BINARY, Program, Router, wait_until
from fleet import BLOCK, Reply, name_of, told
from traffic import Conversation, Traffic, chat_body, document, messages_body


def small(megabytes):
    """Options of a server with little memory: 1 MB holds about 43 tokens of the default model."""
    return ("--kv-memory", f"{megabytes}M", "--pin-memory", f"{megabytes // 2}M", "--context", "1024")


# -- Where requests go ----------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "alone"])
def test_three_servers_read_what_one_reads(start, fleet, store, shared):
    traffic = lambda: Traffic("three and one", conversations=9, turns=4)  # noqa: E731
    one = start(*small(288), behind="")
    asked, read = traffic().play(one.port, one.wait_idle)
    together = fleet(3, *small(96), *(("--shared", store.url) if shared else ()))
    asked_of_three, read_by_three = traffic().play(together.router.port, together.settle)
    assert asked_of_three == asked, "replies differ"
    print(f"of {asked} tokens one server read {read}, three read {read_by_three}")
    assert read > 0.6 * asked, "the traffic shares little"
    assert read_by_three >= 0.95 * read
    requests = [page["requests"] for page in together.router.fleet()["replicas"]]
    assert min(requests) > 0, f"one of them had nothing to do: {requests}"


def test_the_router_knows_to_the_block_what_will_be_read(fleet):
    together = fleet(3, *small(96))
    requests = 0
    for conversation in Traffic("to the block", documents=3, conversations=5, turns=3).order:
        together.settle()
        expected = together.fleet()["expected_tokens"]
        prompt, read = conversation.take(conversation.ask(together.router.port))
        expected = together.fleet()["expected_tokens"] - expected
        # Besides whole blocks a replica reads the part of one that is equal, and computes the last token always.
        assert expected <= read + 1 and read < expected + BLOCK, f"request {requests}: {prompt} tokens"
        requests += 1


def test_a_marked_prefix_goes_where_it_is_kept(fleet):
    together = fleet(3, *small(48))
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    system = [{"type": "text", "text": document("marked", 20), **mark}]

    def ask(question):
        path, body = messages_body(system, [{"role": "user", "content": question}], max_tokens=4)
        return Reply(together.router.port, path, body).wait()

    kept_by = ask("What is kept?").replica
    # More than all of them hold, of which nothing is marked.
    for index in range(30):
        path, body = chat_body(document(f"unmarked {index}", 20), [{"role": "user", "content": "Go on."}], max_tokens=1)
        assert Reply(together.router.port, path, body).wait().whole()
    together.settle()
    reply = ask("Is it there still?")
    assert reply.replica == kept_by
    _, prompt, read = reply.said()
    assert prompt - read < 2 * BLOCK


def test_tenants_share_no_prefix_and_each_finds_its_own(fleet, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("key-of-acme acme/main\nkey-of-zenith zenith/main\nkey-of-ops ops/main admin\n")
    keys.chmod(0o600)
    together = fleet(2, *small(96), "--api-keys", keys, router=("--api-keys", keys), key="key-of-ops")
    text = document("of two tenants")
    for key in ("key-of-acme", "key-of-zenith"):
        conversation = Conversation(text, "of tenants")
        first = conversation.ask(together.router.port, {"x-api-key": key})
        assert conversation.take(first)[1] == 0
        together.settle()
        again = conversation.ask(together.router.port, {"Authorization": f"Bearer {key}"})
        assert conversation.take(again)[1] > 200
        assert again.replica == first.replica
    for path in ("/v1/chat/completions", "/v1/messages"):
        refused = Reply(together.router.port, path, {}, {"x-api-key": "key-of-nobody"}).wait()
        assert refused.status == 401
        assert refused.replica is None, "a replica was asked"
        kind = refused.json()["error"]["type"]
        assert kind == ("authentication_error" if path == "/v1/messages" else "invalid_request_error")


def test_a_stored_response_is_gone_on_from_where_it_is_stored(fleet):
    together = fleet(3, *small(96))
    client = together.router.openai()
    for subject in ("harbour", "library", "bakery", "garden"):
        one = client.responses.with_raw_response.create(
            model="any", input=f"What is a {subject}?", max_output_tokens=8, temperature=0
        )
        first = one.parse()
        other = client.responses.with_raw_response.create(
            model="any", input="Say more.", previous_response_id=first.id, max_output_tokens=8, temperature=0
        )
        assert other.headers["x-reprise-replica"] == one.headers["x-reprise-replica"]
        assert other.parse().usage.input_tokens_details.cached_tokens > 0
        assert client.responses.retrieve(first.id).output_text == first.output_text
        client.responses.delete(first.id)


def test_replicas_are_found_by_a_name(start, built):
    server = start(*small(48), behind="")
    router = Router([], "--replicas-from", f"localhost:{server.port}")
    try:
        wait_until(lambda: "live" in [each["state"] for each in router.fleet()["replicas"]], "it is found")
        reply = Reply(router.port, *chat_body("Be short.", [{"role": "user", "content": "Hello."}], max_tokens=4))
        assert reply.wait().whole()
        assert reply.replica == name_of(server)
    finally:
        router.stop()


def test_without_a_model_prefixes_are_known_by_their_text(fleet):
    together = fleet(3, *small(96), model=False, router=("--approximate",))
    asked, read = Traffic("approximately", documents=3, conversations=6, turns=3).play(together.router.port)
    places = {}
    for conversation in [Conversation(document(f"a text {i}"), f"a conversation {i}") for i in range(6)]:
        for _ in range(3):
            reply = conversation.ask(together.router.port)
            conversation.take(reply)
            places.setdefault(conversation, set()).add(reply.replica)
    assert [len(found) for found in places.values()] == [1] * 6, "a conversation stays where it is"
    assert len(set.union(*places.values())) > 1, "all went to one"
    print(f"of {asked} tokens {read} were read")
    assert read > 0.6 * asked


# -- When one goes --------------------------------------------------------------------------------


class Crowd:
    """Conversations that go on beside a test, each on a thread, until stop(); `failures` are replies that neither
    answer to their end nor are streams that had begun and ended with their vendor's error event."""

    def __init__(self, fleet, seed, many=4):
        self.fleet, self.replies, self.failures, self.broken = fleet, [], [], []
        self.conversations = [Conversation(document(f"{seed} {i % 2}"), f"{seed} {i}", 24) for i in range(many)]
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=[each]) for each in self.conversations]
        for thread in self._threads:
            thread.start()

    def _go_on(self, conversation):
        while not self._stopped.is_set():
            reply = conversation.ask(self.fleet.router.port).wait()
            self.replies.append(reply)
            if reply.whole():
                conversation.take(reply)
                if conversation.prompt_tokens > 700:
                    del conversation.turns[:]
            elif reply.status == 200 and reply.streamed and not reply.error and reply.broken_off():
                self.broken.append(reply)
            else:
                self.failures.append(reply)

    def wait_for(self, more):
        """Until that many more requests have ended."""
        enough = len(self.replies) + more
        wait_until(lambda: len(self.replies) >= enough, f"{more} requests more", 300)

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def crowd(fleet, seed, many=4):
    running = Crowd(fleet, seed, many)
    try:
        yield running
    finally:
        running.stop()


# Sampled, so that little of it can be guessed, and long enough to be under way for some seconds.
LONG = {"max_tokens": 450, "temperature": 1, "seed": 5, "ignore_eos": True}


def under_way(together, make):
    """(replica, replies): long ones of one vendor, streamed, which have begun, and not; that replica has some of both.
    Nothing else is under way."""
    replies = []
    for number, stream in enumerate([True, False] * 4):
        turns = [{"role": "user", "content": f"Tell a long story, number {number}."}]
        path, body = make(document("long replies", 10), turns, stream=stream)
        replies.append(Reply(together.router.port, path, {**body, **LONG}))
    for reply in replies:
        assert not reply.streamed or reply.began.wait(120)

    def with_both():
        for each in together.replicas:
            streams = sum(reply.replica == name_of(each) for reply in replies if reply.streamed)
            if 0 < streams < together.page(each)["outstanding"]:
                return each
        return None

    return wait_until(with_both, "one replica has streams and others"), replies


BOTH_VENDORS = pytest.mark.parametrize("make", [chat_body, messages_body], ids=["openai", "anthropic"])


@BOTH_VENDORS
def test_a_replica_that_dies_takes_along_only_streams_that_had_begun(fleet, make):
    together = fleet(3, *small(96))
    replica, replies = under_way(together, make)
    together.kill(replica)
    for reply in replies:
        reply.wait()
        if reply.replica == name_of(replica):
            assert reply.streamed and reply.status == 200 and not reply.error, reply
            assert reply.broken_off(), reply
        else:
            assert reply.whole(), reply
    assert together.fleet()["retries"] > 0, "none was asked again elsewhere"
    together.wait_for_states("dead", 1)


def test_nothing_else_fails_while_one_dies_and_what_it_had_computed_is_read_from_the_store(fleet, store):
    together = fleet(3, *small(96), "--shared", store.url)
    # Conversations with a system text of their own, so that nobody else has anything of them.
    own = [Conversation(document(f"of its own {i}"), f"of its own {i}") for i in range(6)]
    at = {}
    for conversation in own * 2:
        reply = conversation.ask(together.router.port)
        conversation.take(reply)
        at[conversation] = reply.replica
    together.settle()
    held = set().union(*[told(each)["memory"] for each in together.replicas])
    wait_until(lambda: store.blocks() >= len(held), "the store has all")
    lost = at[own[0]]
    with crowd(together, "while one dies") as others:
        others.wait_for(6)
        together.kill(together.named(lost))
        others.wait_for(12)
    assert not others.failures
    assert others.replies
    for conversation in own:
        if at[conversation] != lost:
            continue
        before = conversation.prompt_tokens
        reply = conversation.ask(together.router.port)
        _, read = conversation.take(reply)
        assert reply.replica != lost
        assert read >= before // BLOCK * BLOCK, "what the dead one had computed is computed again"
        assert "shared=" in reply.headers["x-reprise-cache"], reply.headers["x-reprise-cache"]


@BOTH_VENDORS
def test_nothing_fails_when_one_is_told_to_stop(fleet, make):
    together = fleet(3, *small(96), "--drain", "120s")
    replica, replies = under_way(together, make)
    with crowd(together, "while one stops") as others:
        others.wait_for(3)
        together.terminate(replica)
        wait_until(lambda: together.states()[name_of(replica)] != "live", "the router knows")
        before = len(others.replies)
        others.wait_for(12)
    assert not others.failures and not others.broken
    # What a thread had asked before may end after.
    late = others.replies[before + len(others.conversations) :]
    assert late and name_of(replica) not in {reply.replica for reply in late}
    for reply in replies:
        assert reply.wait().whole(), reply
    together.await_end(replica)


def test_what_lies_on_one_that_stops_is_asked_elsewhere(fleet):
    together = fleet(2, *small(96), "--drain", "120s")
    conversation = Conversation(document("of one that stops", 24), "of one that stops")
    first = conversation.ask(together.router.port)
    conversation.take(first)
    together.settle()
    path, body = chat_body("Tell stories.", [{"role": "user", "content": "A long one."}], stream=True)
    busy = Reply(together.router.port, path, {**body, **LONG, "max_tokens": 1000}, {"x-reprise-replica": first.replica})
    assert busy.began.wait(120)
    second = conversation.ask(together.router.port)
    conversation.take(second)
    assert second.replica == first.replica, "beside a long reply its prefix is worth more"
    replica = together.named(first.replica)
    together.terminate(replica)
    wait_until(lambda: together.states()[first.replica] == "draining", "the router knows")
    third = conversation.ask(together.router.port)
    conversation.take(third)
    assert third.whole() and third.replica != first.replica
    assert together.fleet()["retries"] == 0, "it was not asked in vain"
    assert not busy.ended.is_set() and busy.wait().whole()
    together.await_end(replica)


def test_one_that_comes_back_is_cold_and_used_again(fleet):
    together = fleet(2, *small(96))
    conversation = Conversation(document("of one that comes back"), "of one that comes back")
    first = conversation.ask(together.router.port)
    conversation.take(first)
    together.settle()
    replica = together.named(first.replica)
    assert together.page(replica)["blocks"]["memory"] > 0
    together.kill(replica)
    together.wait_for_states("dead", 1)
    away = conversation.ask(together.router.port)
    assert conversation.take(away)[1] == 0
    assert away.replica != first.replica
    replica = together.restart(replica)
    together.wait_for_states("live", 2)
    together.settle()
    assert together.page(replica)["blocks"]["memory"] == 0
    there = conversation.ask(together.router.port)
    conversation.take(there)
    assert there.replica == away.replica, "the one that came back has nothing of it"
    used = set()
    for index in range(8):
        path, body = chat_body(document(f"anything {index}"), [{"role": "user", "content": "Go on."}], max_tokens=1)
        used.add(Reply(together.router.port, path, body).wait().replica)
    assert used == set(together.names())


def test_without_any_replica_clients_are_told_to_come_again(fleet):
    together = fleet(1, *small(48))
    together.kill(together.replicas[0])
    for make, status in ((chat_body, 503), (messages_body, 529)):
        reply = Reply(together.router.port, *make("Be short.", [{"role": "user", "content": "Hello."}], max_tokens=4))
        assert reply.wait().status == status
        assert int(reply.headers["retry-after"]) > 0
        assert reply.json()["error"]["message"]
    assert together.router.ask("GET", "/health")[0] == 503


def test_what_waits_too_long_for_a_busy_replica_is_told_to_come_again(fleet):
    line = ("--max-outstanding", "1", "--queue", "1", "--queue-wait", "500ms")
    together = fleet(1, *small(48), router=line)
    path, body = chat_body("Tell stories.", [{"role": "user", "content": "A long one."}], stream=True)
    busy = Reply(together.router.port, path, {**body, **LONG})
    assert busy.began.wait(120)
    for make, status in ((chat_body, 503), (messages_body, 529)):
        reply = Reply(together.router.port, *make("Be short.", [{"role": "user", "content": "Hello."}], max_tokens=4))
        assert reply.wait().status == status, reply
        assert int(reply.headers["retry-after"]) > 0
    assert busy.wait().whole()


def test_a_router_told_to_stop_finishes_what_has_begun(fleet):
    together = fleet(1, *small(48))
    path, body = chat_body("Tell stories.", [{"role": "user", "content": "A long one."}], stream=True)
    reply = Reply(together.router.port, path, {**body, **LONG, "max_tokens": 200})
    assert reply.began.wait(120)
    together.router.process.terminate()
    assert reply.wait().whole(), reply
    assert together.router.process.wait(timeout=60) == 0


def test_there_are_files_for_clients_and_for_replicas(built):
    command = ["prlimit", "--nofile=1024:", BINARY, "route", "--approximate", "--port", "0",
               "--replica", "http://127.0.0.1:9"]  # fmt: skip
    router = Program(command)
    limits = pathlib.Path(f"/proc/{router.process.pid}/limits").read_text()
    router.stop()
    # A connection of a client, of which there may be 4,096, wants one to a replica; up to 64 idle ones stay for each of
    # 64 replicas.
    soft, hard = map(int, re.search(r"Max open files +(\d+) +(\d+)", limits).groups())
    assert soft >= min(3 * 4096, hard)
