"""Nobody learns of another tenant by asking why a prompt was read again."""

import json

import anthropic
import pytest

from messages import create

KEYS = """
key-of-acme    acme/main
key-of-zenith  zenith/main
key-of-ops     ops/main     admin
"""
ACME, ZENITH, OPS = "key-of-acme", "key-of-zenith", "key-of-ops"


class Guarded:
    """A server with a file of keys, asked as whom one likes."""

    def __init__(self, server):
        self.server = server

    def client(self, key):
        url = f"http://127.0.0.1:{self.server.port}"
        return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=300)

    def ask(self, key, path):
        status, _, body = self.server.ask("GET", path, headers={"x-api-key": key})
        return status, json.loads(body)

    def prompt(self, key, message):
        status, page = self.ask(key, f"/cache/requests/{message.id}")
        assert status == 200
        return page["prompts"][0]


@pytest.fixture
def guarded(start, tmp_path):
    def begin(*options):
        keys = tmp_path / "keys"
        keys.write_text(KEYS)
        keys.chmod(0o600)
        return Guarded(start("--api-keys", keys, *options))

    return begin


def test_another_tenants_message_is_as_unknown_as_any(guarded, document):
    server = guarded()
    words = document("foreign")
    theirs = create(server.client(ZENITH), words)
    ours = server.client(ACME)
    told = [
        create(ours, words, diagnostics={"previous_message_id": previous}).diagnostics.to_dict()
        for previous in (theirs.id, "msg_0123456789abcdef")
    ]
    assert told[0] == told[1] == {"cache_miss_reason": {"type": "previous_message_not_found"}}

    refusals = []
    for given in (theirs.id, theirs._request_id, "msg_0123456789abcdef"):
        status, body = server.ask(ACME, f"/cache/requests/{given}")
        refusals.append((status, json.dumps(body).replace(given, "…")))
    assert refusals[0][0] == 404 and len(set(refusals)) == 1
    assert server.ask(ZENITH, f"/cache/requests/{theirs.id}")[0] == 200
    assert server.ask(OPS, f"/cache/requests/{theirs.id}")[0] == 200


def test_each_lists_its_own_requests_and_an_administrator_all(guarded):
    server = guarded()
    ours, theirs = create(server.client(ACME), "Ours."), create(server.client(ZENITH), "Theirs.")

    def listed(key):
        return [(each["reply_id"], each.get("tenant")) for each in server.ask(key, "/cache/requests")[1]["requests"]]

    assert listed(ACME) == [(ours.id, None)]
    assert listed(ZENITH) == [(theirs.id, None)]
    assert listed(OPS) == [(theirs.id, "zenith/main"), (ours.id, "acme/main")]


def test_what_lies_with_another_tenant_is_told_to_administrators_only(guarded, document):
    server = guarded()
    words = document("with another")
    theirs = create(server.client(ZENITH), words)
    ours = create(server.client(ACME), words)
    seen = server.prompt(ACME, ours)
    assert seen["why"] == {"reason": "nothing_shared"}
    assert seen["closest"] is None and seen["first_difference"] is None
    shown = server.prompt(OPS, ours)
    assert shown["why"]["reason"] == "other_tenant"
    assert shown["closest"]["id"] == theirs._request_id
    assert shown["closest"]["tenant"] == "zenith/main"


def test_an_eviction_for_another_tenant_names_nobody(guarded, document):
    server = guarded("--kv-memory", "19M", "--context", "1024", "--pin-memory", "0")
    words = document("crowded out", 300)
    create(server.client(ACME), words)
    theirs = [create(server.client(ZENITH), document(f"crowds {i}", 300)) for i in range(4)]
    again = create(server.client(ACME), words)
    why = server.prompt(ACME, again)["why"]
    assert why["reason"] == "evicted" and why["for"] == "another tenant's request"
    assert server.prompt(OPS, again)["why"]["for"] in [each._request_id for each in theirs]
