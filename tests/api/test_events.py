"""What a server tells those who follow it (GET /cache/events), on a real model: which blocks it holds, folded as
a follower would and compared with the tree's own page and with names made here; its load; that it stops.
"""

import concurrent.futures
import hashlib
import json
import queue
import random
import signal
import socket
import struct
import subprocess
import time

import pytest
from conftest import ACME, BINARY, MODEL, OPS
from messages import create, text, user
from test_watch import Watch

BLOCK = 32


class Follower:
    """A connection to GET /cache/events, and what it comes to."""

    def __init__(self, server, key=None):
        self.watch = Watch(server, key, path="/cache/events")
        name, self.hello, _ = self.watch.events.get(timeout=30)
        assert name == "hello"
        self.places = {}  # of each: block -> its parent
        self.numbers = {}
        self.begun = set()  # places whose snapshot has not ended
        self.cleared = 0
        self.loads = []
        self.draining = False

    def take(self, seconds=0.01):
        """Whether another event came, which is applied."""
        try:
            name, data, _ = self.watch.events.get(timeout=seconds)
        except queue.Empty:
            return False
        if name == "load":
            self.loads.append(data)
        if name == "draining":
            self.draining = True
        if name == "blocks":
            self.apply(data)
        return True

    def apply(self, told):
        place = told["place"]
        part = told.get("snapshot")
        if part in ("whole", "begin"):
            self.places[place] = {}
            self.begun.add(place)
        elif part:
            assert place in self.begun and told["sequence"] == self.numbers[place]
        else:
            assert place not in self.begun and told["sequence"] == self.numbers[place] + 1
        self.numbers[place] = told["sequence"]
        blocks = self.places[place]
        if told.get("cleared"):
            blocks.clear()
            self.cleared += 1
        for block in told["removed"]:
            gone = blocks.pop(block, None) is not None
            assert gone or place != "memory"
        for run in told["stored"]:
            assert run["tokens"] == BLOCK * len(run["blocks"])
            parent = run["parent"]
            if place == "memory":
                assert parent is None or parent in blocks
            for block in run["blocks"]:
                assert block not in blocks
                blocks[block] = parent
                parent = block
        if part in ("whole", "end"):
            self.begun.remove(place)

    def wait(self, fits, seconds=60):
        """Applies what comes until it fits."""
        until = time.monotonic() + seconds
        while not (set(self.places) == set(self.hello["places"]) and not self.begun and fits()):
            self.take(0.1)
            assert time.monotonic() < until, (self.places.keys(), self.begun, self.loads[-1:])

    def close(self):
        """As a client does that goes away."""
        self.watch.connection.sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def follow():
    """follow(server, key) -> a Follower, which is closed at the end."""
    followers = []

    def begin(*arguments):
        followers.append(Follower(*arguments))
        return followers[-1]

    yield begin
    for follower in followers:
        follower.close()


def names(identity, scope, tokens):
    """Of the full blocks of a prompt, as docs/api.md says."""
    counted = lambda words: struct.pack("<Q", len(words)) + words
    key = hashlib.sha256(counted(b"reprise block chain") + bytes.fromhex(identity) + counted(scope)).digest()
    chain = []
    for end in range(BLOCK, len(tokens) + 1, BLOCK):
        key = hashlib.sha256(key + struct.pack(f"<{BLOCK}i", *tokens[end - BLOCK : end])).digest()
        chain.append(f"{int.from_bytes(key[:8], 'little'):016x}")
    return chain


def full_blocks(server):
    nodes = server.get("/cache/tree?limit=20000")["nodes"]
    return sum((node["begin"] + node["tokens"]) // BLOCK - node["begin"] // BLOCK for node in nodes)


def complete(server, prompt, tokens=4):
    return server.post("/v1/completions", {"prompt": prompt, "max_tokens": tokens, "temperature": 0})


def test_what_is_told_comes_to_what_the_tree_holds(start, follow, document):
    server = start("--kv-memory", "28M", "--context", "1024")
    early = follow(server)
    assert early.hello["block_tokens"] == BLOCK and early.hello["places"] == ["memory"]
    claude = server.anthropic()
    picked = random.Random(3)
    systems = [document(f"events-system-{i}", 120) for i in range(3)]
    talks = [[user(text(document(f"events-talk-{i}", 200)))] for i in range(9)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for _ in range(6):
            asked = picked.sample(talks, 3)
            system = picked.choice(systems)
            replies = list(pool.map(lambda talk: create(claude, talk, system=system, max_tokens=24), asked))
            for talk, reply in zip(asked, replies, strict=True):
                talk += [{"role": "assistant", "content": reply.content}, user(text("And then?"))]
    server.wait_idle()
    held = full_blocks(server)
    assert held > 20 and server.metric("cache_evicted_blocks_total") > 0
    late = follow(server)
    late.wait(lambda: len(late.places["memory"]) == held)
    early.wait(lambda: early.places == late.places)
    server.flush()
    early.wait(lambda: not early.places["memory"])
    assert early.cleared == 1


def test_names_follow_from_model_tenant_and_tokens_alone(guarded_server, follow, document):
    server = guarded_server.server
    follower = follow(server, OPS)
    prompt = document("events-names", 130)
    tokens = json.loads(guarded_server.ask(ACME, "POST", "/tokenize", {"content": prompt, "add_special": True})[1])["tokens"]
    body = {"prompt": prompt, "max_tokens": 4, "temperature": 0}
    assert guarded_server.ask(ACME, "POST", "/v1/completions", body)[0] == 200
    chain = names(follower.hello["identity"], b"acme/main", tokens)
    assert len(chain) > 3
    follower.wait(lambda: set(chain) <= set(follower.places["memory"]))
    memory = follower.places["memory"]
    assert [memory[block] for block in chain] == [None, *chain[:-1]]


def test_a_disk_is_told_by_the_process_that_comes_to_it(start, follow, tmp_path, document):
    folder = tmp_path / "disk"
    first = start("--disk", folder, "--kv-memory", "64M", "--context", "1024")
    follower = follow(first)
    assert follower.hello["places"] == ["memory", "disk"]
    complete(first, document("events-disk", 200))
    first.wait_idle()
    held = full_blocks(first)
    assert held > 5
    follower.wait(lambda: len(follower.places["disk"]) == held == len(follower.places["memory"]))
    assert set(follower.places["disk"]) == set(follower.places["memory"])
    first.stop()
    second = start("--disk", folder, "--kv-memory", "64M", "--context", "1024")
    again = follow(second)
    again.wait(lambda: True)
    assert set(again.places["disk"]) == set(follower.places["disk"]) and again.places["memory"] == {}
    assert again.hello["identity"] == follower.hello["identity"]
    assert again.hello["process"] != follower.hello["process"]


def test_the_load_is_what_is_not_computed_yet(start, follow, document):
    server = start("--context", "4096")
    follower = follow(server)
    complete(server, document("events-load-before", 400))
    follower.wait(lambda: follower.loads and follower.loads[-1]["seconds_per_token"] > 0)
    assert follower.loads[0]["seconds_per_token"] == 0, "nothing was measured yet"
    follower.wait(lambda: follower.loads[-1]["running"] == 0 and follower.loads[-1]["ahead_seconds"] == 0)
    asked = len(follower.loads)
    prompts = [document(f"events-load-{i}", 1200) for i in range(3)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for _ in pool.map(lambda prompt: complete(server, prompt), prompts):
            pass
    follower.wait(lambda: any(load["ahead_seconds"] > 0 for load in follower.loads[asked:]))
    follower.wait(lambda: follower.loads[-1]["running"] == 0 and follower.loads[-1]["ahead_seconds"] == 0)
    busy = max(follower.loads[asked:], key=lambda load: load["ahead_seconds"])
    assert busy["ahead_seconds"] > 100 * busy["seconds_per_token"] and busy["running"] + busy["waiting"] > 0


def test_a_token_of_the_fleet_s_lets_follow_and_nothing_else(guarded, follow, tmp_path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    guarded_one = guarded("--fleet-token", token)
    server = guarded_one.server
    assert follow(server, "0123456789abcdef").hello["model"]
    assert follow(server, OPS).hello["model"]
    bearer = {"Authorization": "Bearer 0123456789abcdef"}
    assert server.ask("GET", "/cache/events", headers={"Authorization": "Bearer 0123456789abcdeF"})[0] == 401
    assert server.ask("GET", "/cache", headers=bearer)[0] == 401
    assert guarded_one.ask(ACME, "GET", "/cache/events")[0] == 403
    token.write_text("short\n")
    refused = subprocess.run(
        [BINARY, "serve", "--model", MODEL, "--fleet-token", token], capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 2 and "shorter than 16 bytes" in refused.stderr


def test_a_server_that_stops_says_so_and_answers_until_its_replies_have_ended(start, follow):
    server = start("--drain", "60s")
    follower = follow(server)
    follower.wait(lambda: True)
    reply = server.openai().chat.completions.create(
        model="any", messages=[{"role": "user", "content": "Count to a thousand."}], max_tokens=300, stream=True,
        extra_body={"ignore_eos": True},
    )
    pieces = [next(iter(reply))]
    server.process.send_signal(signal.SIGTERM)
    follower.wait(lambda: follower.draining)
    assert not follower.watch.ended.is_set()
    status, _, body = server.ask("GET", "/health")
    assert (status, json.loads(body)) == (503, {"status": "stopping"})
    status, headers, body = server.ask("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]})
    assert status == 503 and headers["retry-after"] and b"stopping" in body
    pieces += list(reply)
    assert pieces[-1].choices[0].finish_reason == "length"
    assert follower.watch.ended.wait(30)
    assert server.process.wait(30) == 0
