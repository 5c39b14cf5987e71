"""NVIDIA Dynamo's indexer (crates.io, built from its source) reads what `serve --kv-events` tells."""

import re

import pytest
from conftest import wait_until

BLOCK = 32
HERE = ("--kv-events", "tcp://127.0.0.1:0", "--kv-events-replay", "tcp://127.0.0.1:0")


@pytest.fixture(params=["map", "array"])
def servers(request, start, indexer):
    """Two that the indexer follows, as 1 and 2; each was asked something before."""
    found = []
    for number in (1, 2):
        server = start(*HERE, "--kv-events-encoding", request.param, "--kv-memory", "60M")
        complete(server, server.tokens(f"Server {number} was there first. " * 40))
        addresses = re.search(r"told at (tcp://\S+) and again at (tcp://\S+),", "".join(server.log))
        indexer.register(number, *addresses.groups())
        found.append(server)
    return found


def complete(server, tokens):
    server.post("/v1/completions", {"prompt": tokens, "max_tokens": 1, "temperature": 0})


def expect(indexer, tokens, wanted):
    wait_until(lambda: indexer.held(tokens) == wanted, f"{wanted} and not {indexer.held(tokens)}")


def whole(tokens):
    """What full blocks hold of them."""
    return len(tokens) // BLOCK * BLOCK


def test_it_knows_to_the_block_who_holds_what(servers, indexer, document):
    first, second = servers
    shared = first.tokens(document("both", 300))
    longer = shared + first.tokens(document("more", 150))
    complete(first, longer)
    complete(second, shared)
    expect(indexer, longer, {1: whole(longer), 2: whole(shared)})
    expect(indexer, shared, {1: whole(shared), 2: whole(shared)})
    assert indexer.held(longer[1:]) == {}


def test_what_was_there_before_it_came_is_asked_for_again(servers, indexer):
    for number, server in enumerate(servers, 1):
        before = server.tokens(f"Server {number} was there first. " * 40)
        complete(server, server.tokens("A batch whose number shows the gap. " * 20))
        expect(indexer, before, {number: whole(before)})


def test_what_goes_is_forgotten(servers, indexer, document):
    first, second = servers
    prompt = first.tokens(document("forgotten", 200))
    for server in servers:
        complete(server, prompt)
    expect(indexer, prompt, {1: whole(prompt), 2: whole(prompt)})
    for i in range(12):  # memory of 111 blocks holds none of it then
        complete(first, first.tokens(document(f"instead {i}", 300)))
    expect(indexer, prompt, {2: whole(prompt)})
    second.flush()
    expect(indexer, prompt, {})
