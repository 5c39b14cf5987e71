"""The pages of the prefix tree: its nodes add up to what GET /cache counts, are named by the parts of the
requests that made them, and can be let go and kept; a tenant sees its own.
"""

import itertools
import json

import pytest
from conftest import ACME, OPS, ZENITH
from messages import MARK, create, text, user


def tree(server, query=""):
    return server.get(f"/cache/tree{query}")


def named(page, name):
    """The nodes of that name."""
    return [node for node in page["nodes"] if node["name"] == name]


def refused(server, method, path, body=None):
    status, _, reply = server.ask(method, path, body)
    return status, json.loads(reply)["error"]["message"]


@pytest.fixture
def emptied(server):
    server.wait_idle()
    server.flush()
    return server


def test_an_empty_cache_is_an_empty_tree(emptied):
    page = tree(emptied)
    assert page["nodes"] == [] and page["tokens"] == 0
    assert page["left_out"] == {"nodes": 0, "tokens": 0}


def test_nodes_are_parts_of_requests_and_add_up(emptied, document):
    client = emptied.anthropic()
    system = document("tree-system", 80)
    paper = document("tree-paper", 600)
    first = [user(text(f"{paper}\nWho wrote this?"))]
    reply = create(client, first, system=system, max_tokens=40)
    create(client, [*first, {"role": "assistant", "content": reply.content}, user(text("And when?"))], system=system)
    emptied.wait_idle()
    page, cache = tree(emptied), emptied.get("/cache")
    assert page["block_tokens"] == cache["block_tokens"]
    assert page["tokens"] == cache["cached_tokens"] == sum(node["tokens"] for node in page["nodes"])
    assert page["blocks"] == cache["blocks"]["cached"] == sum(node["blocks"] for node in page["nodes"])
    seen = {}
    for node in page["nodes"]:
        if node["parent"] is None:
            assert node["begin"] == 0
        else:
            parent = seen[node["parent"]]  # parents come first
            assert node["begin"] == parent["begin"] + parent["tokens"]
        seen[node["id"]] = node
    assert len(seen) == len(page["nodes"])
    for node in page["nodes"]:
        below = sum(child["tokens_below"] for child in page["nodes"] if child["parent"] == node["id"])
        assert node["tokens_below"] == node["tokens"] + below
    [head] = named(page, "system text")
    assert head["part"] == "system" and system[:20] in head["excerpt"]
    assert len(head["excerpt"]) <= 80
    [body] = named(page, "turn 1, document")
    assert body["part"] == "messages[0]" and body["reads"] >= 1 and body["parent"] == head["id"]
    assert head["reads"] >= 1 and head["readers"] == 0 and head["state"] == "automatic"
    assert 0 <= head["last_used"]["seconds_ago"] < 60


def test_a_node_has_its_text_and_its_path(emptied, document):
    system = document("tree-text", 300)
    create(emptied.anthropic(), system=system)
    page = tree(emptied)
    for node in page["nodes"]:
        shown = emptied.get(f"/cache/tree/{node['id']}")
        assert shown["path"][-1] == node["id"] and shown["path"][0] == page["nodes"][0]["id"]
        assert len(shown["text"]) == node["tokens"]
        assert {name: shown[name] for name in ("begin", "tokens", "name")} == {
            name: node[name] for name in ("begin", "tokens", "name")}
    whole = "".join(token["text"] for token in emptied.get(f"/cache/tree/{page['nodes'][0]['id']}")["text"])
    assert whole[-60:] in system
    assert refused(emptied, "GET", "/cache/tree/n0123456789abcdef")[0] == 404
    assert refused(emptied, "GET", "/cache/tree/nonsense")[0] == 404


def test_a_limit_leaves_out_the_deepest_and_counts_them(emptied, document):
    for question in ("one", "two", "three"):
        create(emptied.anthropic(), f"{document('tree-limit', 200)} {question}")
    whole, less = tree(emptied), tree(emptied, "?limit=2")
    assert len(whole["nodes"]) > 2 and less["nodes"][0]["tokens_below"] == whole["nodes"][0]["tokens_below"]
    assert [node["id"] for node in less["nodes"]] == [node["id"] for node in whole["nodes"][:2]]
    assert less["left_out"]["nodes"] == len(whole["nodes"]) - 2
    assert less["left_out"]["tokens"] == sum(node["tokens"] for node in whole["nodes"][2:])
    assert less["tokens"] == whole["tokens"]
    for wrong in ("0", "20001", "many", ""):
        status, said = refused(emptied, "GET", f"/cache/tree?limit={wrong}")
        assert status == 400 and "from 1 to 20000" in said


def test_a_promise_is_shown_with_its_time(emptied, document):
    create(emptied.anthropic(), [user(text(document("tree-promise", 200), MARK), text("Who?"))])
    emptied.wait_idle()
    promised = [node for node in tree(emptied)["nodes"] if node["state"] == "promised"]
    [promise] = list(itertools.chain.from_iterable(node["promises"] for node in promised))
    assert promise["ttl_seconds"] == 300 and 290 < promise["expires_in"] <= 300
    holder = next(node for node in promised if node["promises"])
    assert holder["begin"] < promise["tokens"] <= holder["begin"] + holder["tokens"]
    assert 290 < holder["expires_in"] <= 300


def test_a_dropped_node_is_computed_again_and_the_reply_is_the_same(emptied, document):
    client, words = emptied.anthropic(), document("tree-drop", 300)
    cold = create(client, words)
    page = tree(emptied)
    top = page["nodes"][0]
    status, _, reply = emptied.ask("DELETE", f"/cache/tree/{top['id']}")
    assert status == 200 and json.loads(reply) == {"freed_blocks": page["blocks"], "kept_blocks": 0}
    assert tree(emptied)["tokens"] == 0
    assert refused(emptied, "DELETE", f"/cache/tree/{top['id']}")[0] == 404
    again = create(client, words)
    assert again.usage.cache_read_input_tokens == 0 and again.content == cold.content
    why = emptied.get(f"/cache/requests/{again.id}")["prompts"][0]["why"]
    assert why["reason"] == "flushed"


def test_a_kept_node_is_promised_for_an_hour(emptied, document):
    create(emptied.anthropic(), document("tree-keep", 300))
    node = tree(emptied)["nodes"][0]
    status, _, reply = emptied.ask("POST", f"/cache/tree/{node['id']}/keep", {"ttl": "1h"})
    kept = json.loads(reply)
    assert status == 200 and kept["kept"] is True and kept["expires_in"] == pytest.approx(3600, abs=1)
    shown = emptied.get(f"/cache/tree/{node['id']}")
    assert shown["state"] == "promised" and 3590 < shown["expires_in"] <= 3600
    assert [promise["tokens"] for promise in shown["promises"]] == [kept["tokens"]]
    for body, said in (({"ttl": "soon"}, "'ttl' is a time"), ({"ttl": 5}, "ttl")):
        status, message = refused(emptied, "POST", f"/cache/tree/{node['id']}/keep", body)
        assert status == 400 and said in message
    assert refused(emptied, "POST", "/cache/tree/n0123456789abcdef/keep", {})[0] == 404
    assert refused(emptied, "POST", f"/cache/tree/{node['id']}/throw", {})[0] == 404


def test_without_room_for_promises_nothing_is_kept(start, document):
    server = start("--pin-memory", "1M")
    create(server.anthropic(), document("tree-full", 600))
    node = tree(server)["nodes"][0]
    status, said = refused(server, "POST", f"/cache/tree/{node['id']}/keep", {"ttl": "1h"})
    assert status == 429 and "--pin-memory" in said
    assert server.get(f"/cache/tree/{node['id']}")["state"] == "automatic"


def test_a_tenant_sees_its_own_and_changes_nothing(guarded_server, document):
    words = document("tree-tenants", 200)
    for key in (ACME, ZENITH):
        create(guarded_server.server.anthropic(key), words)
    guarded_server.idle()
    pages = {key: guarded_server.json(key, "/cache/tree")[1] for key in (ACME, ZENITH, OPS)}
    ids = {key: {node["id"] for node in page["nodes"]} for key, page in pages.items()}
    assert ids[ACME] and ids[ZENITH] and not ids[ACME] & ids[ZENITH]
    assert ids[ACME] | ids[ZENITH] <= ids[OPS]
    assert pages[ACME]["tokens"] == guarded_server.cache(ACME)["cached_tokens"]
    assert all("tenant" not in node for node in pages[ACME]["nodes"])
    assert {"acme/main", "zenith/main"} <= {node["tenant"] for node in pages[OPS]["nodes"]}
    others = pages[ZENITH]["nodes"][0]["id"]
    assert guarded_server.json(ACME, f"/cache/tree/{others}")[0] == 404
    assert guarded_server.json(OPS, f"/cache/tree/{others}")[0] == 200
    for key, node in ((ACME, others), (ZENITH, others)):
        assert guarded_server.ask(key, "DELETE", f"/cache/tree/{node}")[0] == 403
        assert guarded_server.ask(key, "POST", f"/cache/tree/{node}/keep", {"ttl": "1h"})[0] == 403
    status, reply = guarded_server.ask(OPS, "DELETE", f"/cache/tree/{others}")
    assert status == 200 and json.loads(reply)["freed_blocks"] > 0
    assert guarded_server.json(ACME, "/cache/tree")[1]["tokens"] == pages[ACME]["tokens"]
