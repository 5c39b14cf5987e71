"""Nobody learns of another tenant by asking why a prompt was read again."""

import json

from conftest import ACME, OPS, ZENITH
from messages import create


def client(server, key):
    return server.server.anthropic(key)


def prompt_of(server, key, message):
    status, page = server.json(key, f"/cache/requests/{message.id}")
    assert status == 200
    return page["prompts"][0]


def test_another_tenants_message_is_as_unknown_as_any(guarded_server, document):
    server = guarded_server
    words = document("foreign")
    theirs = create(client(server, ZENITH), words)
    ours = client(server, ACME)
    told = [
        create(ours, words, diagnostics={"previous_message_id": previous}).diagnostics.to_dict()
        for previous in (theirs.id, "msg_0123456789abcdef")
    ]
    assert told[0] == told[1] == {"cache_miss_reason": {"type": "previous_message_not_found"}}

    refusals = []
    for given in (theirs.id, theirs._request_id, "msg_0123456789abcdef"):
        status, body = server.json(ACME, f"/cache/requests/{given}")
        refusals.append((status, json.dumps(body).replace(given, "…")))
    assert refusals[0][0] == 404 and len(set(refusals)) == 1
    assert server.json(ZENITH, f"/cache/requests/{theirs.id}")[0] == 200
    assert server.json(OPS, f"/cache/requests/{theirs.id}")[0] == 200


def test_each_lists_its_own_requests_and_an_administrator_all(guarded):
    server = guarded()
    ours, theirs = create(client(server, ACME), "Ours."), create(client(server, ZENITH), "Theirs.")

    def listed(key):
        _, page = server.json(key, "/cache/requests")
        return [(each["reply_id"], each.get("tenant")) for each in page["requests"]]

    assert listed(ACME) == [(ours.id, None)]
    assert listed(ZENITH) == [(theirs.id, None)]
    assert listed(OPS) == [(theirs.id, "zenith/main"), (ours.id, "acme/main")]


def test_what_lies_with_another_tenant_is_told_to_administrators_only(guarded, document):
    server = guarded()
    words = document("with another")
    theirs = create(client(server, ZENITH), words)
    ours = create(client(server, ACME), words)
    seen = prompt_of(server, ACME, ours)
    assert seen["why"] == {"reason": "nothing_shared"}
    assert seen["closest"] is None and seen["first_difference"] is None
    shown = prompt_of(server, OPS, ours)
    assert shown["why"]["reason"] == "other_tenant"
    assert shown["closest"]["id"] == theirs._request_id
    assert shown["closest"]["tenant"] == "zenith/main"


def test_an_eviction_for_another_tenant_names_nobody(guarded, document):
    server = guarded("--kv-memory", "19M", "--context", "1024", "--pin-memory", "0")
    words = document("crowded out", 300)
    create(client(server, ACME), words)
    theirs = [create(client(server, ZENITH), document(f"crowds {i}", 300)) for i in range(4)]
    again = create(client(server, ACME), words)
    why = prompt_of(server, ACME, again)["why"]
    assert why["reason"] == "evicted" and why["for"] == "another tenant's request"
    assert prompt_of(server, OPS, again)["why"]["for"] in [each._request_id for each in theirs]
