"""What the history would have cost elsewhere: by hand on what the official clients' usage says."""

import tomllib
import urllib.parse

import pytest
from conftest import ACME, OPS, ROOT, ZENITH

OPUS = "Anthropic Opus 5.5"  # minimum 512; input 4, written for 5 minutes 5, for an hour 8, read 0.2, output 20


def marked(client, text, question, ttl="5m"):
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}]
    return client.messages.create(
        model="any", max_tokens=4, system=system, messages=[{"role": "user", "content": question}]
    ).usage


def costs(page, name=OPUS):
    return next(sheet for sheet in page["sheets"] if sheet["name"] == name)


@pytest.fixture
def asked(guarded, document):
    """(server, usage of two questions of one tenant on a text of 600 tokens or more)"""
    server = guarded()
    words = document("costs", 700)
    client = server.server.anthropic(ACME)
    usages = [marked(client, words, question, "1h") for question in ("Who?", "And where?")]
    assert usages[0].cache_creation_input_tokens >= 512
    return server, usages


def test_marks_are_billed_by_the_vendors_rules(asked):
    server, (first, second) = asked
    status, page = server.json(ACME, "/cache/costs")
    assert status == 200 and page["requests"] == 2
    written = first.cache_creation_input_tokens
    total = sum(u.input_tokens + u.cache_creation_input_tokens + u.cache_read_input_tokens for u in (first, second))
    assert page["tokens"]["prompt"] == total and page["tokens"]["generated"] == first.output_tokens + second.output_tokens
    sheet = costs(page)
    plain = total - 2 * written
    assert sheet["marked"] == {
        "read": written, "written": written, "computed": plain,
        "cost": pytest.approx((8 * written + 0.2 * written + 4 * plain) / 1e6),
    }
    assert sheet["without_cache"] == pytest.approx(4 * total / 1e6)
    # Five minutes are enough for this traffic, and cheaper.
    assert sheet["best"]["marks"] == [{"part": "system", "lifetime": "5m"}]
    assert sheet["best"]["cost"] == pytest.approx((5 * written + 0.2 * written + 4 * plain) / 1e6)
    # Too short for others.
    assert written < 4096 and costs(page, "Anthropic Haiku 5.5 (prompts up to 100k)")["best"]["read"] == 0


def test_each_tenant_is_told_its_own_and_shares_nothing(asked, document):
    server, (first, _) = asked
    assert server.json(ZENITH, "/cache/costs")[1]["requests"] == 0
    assert server.json(ZENITH, "/cache/costs")[1]["from"] is None
    marked(server.server.anthropic(ZENITH), document("costs", 700), "Who?", "1h")
    sheet = costs(server.json(ZENITH, "/cache/costs")[1])
    assert (sheet["marked"]["read"], sheet["marked"]["written"]) == (0, first.cache_creation_input_tokens)
    everybody = server.json(OPS, "/cache/costs")[1]
    assert everybody["requests"] == 3
    assert costs(everybody)["marked"]["read"] == first.cache_creation_input_tokens


def test_savings_are_money_by_a_price_list(asked):
    server, _ = asked
    status, page = server.json(ACME, f"/savings?prices={urllib.parse.quote(OPUS)}")
    assert status == 200
    figures = page["total"]["since_start"]
    tokens = figures["tokens"]
    assert tokens["read"] > 0
    spent = 4 * (tokens["prompt"] - tokens["read"]) + 0.2 * tokens["read"] + 20 * tokens["generated"]
    assert figures["money"] == {
        "prices": OPUS, "saved": pytest.approx(3.8 * tokens["read"] / 1e6), "spent": pytest.approx(spent / 1e6),
    }
    assert "money" not in server.json(ACME, "/savings")[1]["total"]["since_start"]
    status, refusal = server.json(ACME, "/savings?prices=Opus")
    assert status == 400 and "GET /prices" in refusal["error"]["message"]


def test_prices_are_those_of_the_file(asked):
    server, _ = asked
    listed = server.json(ACME, "/prices")[1]["sheets"]
    sheets = tomllib.loads((ROOT / "bench/article/prices.toml").read_text())["sheet"]
    assert [each["name"] for each in listed] == [each["name"] for each in sheets]
    for shown, sheet in zip(listed, sheets):
        assert (shown["prices"]["input"], shown["prices"]["read"]) == (sheet["input"], sheet["read"])
        assert shown["prices"]["output"] == sheet.get("output") and shown["date"] == sheet["date"]
        assert shown["currency"] == ("input prices" if sheet.get("rule") else "USD")
