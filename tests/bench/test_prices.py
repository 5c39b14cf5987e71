"""The arithmetic on price lists, by hand; and an endpoint's patience. No server is started."""
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from article import prices
from article.endpoint import Endpoint, GivenUp, Message
from fake_endpoint import FakeEndpoint

# Two uses of a prompt of 1,000 tokens, marked whole; 10 new tokens each.
MARKED = [{"prompt": 1010, "read": 0, "write": 1000}, {"prompt": 1010, "read": 1000, "write": 0}]


def test_two_uses_by_the_usual_rule():
    usual = prices.usual_rule()
    assert prices.without(MARKED, usual) == pytest.approx(2020e-6)
    assert prices.automatic(MARKED, usual) == pytest.approx((1010 + 10 + 100) * 1e-6)
    assert prices.automatic(MARKED, usual, found=0.5) == pytest.approx((1010 + 510 + 50) * 1e-6)
    assert prices.explicit(MARKED, usual) == pytest.approx((1250 + 10 + 10 + 100) * 1e-6)
    assert prices.explicit(MARKED, usual, "1h") == pytest.approx((2000 + 10 + 10 + 100) * 1e-6)


def test_a_mark_pays_from_the_second_use_on_and_an_hours_from_the_third():
    usual = prices.usual_rule()
    assert (prices.break_even(usual, "5m"), prices.break_even(usual, "1h")) == (2, 3)
    for sheet in prices.sheets():
        for lifetime in ("5m", "1h"):
            uses, write = prices.break_even(sheet, lifetime), prices.write_price(sheet, lifetime)
            if uses is None:
                assert write is None
                continue
            cost = [write + (n - 1) * sheet["read"] - n * sheet["input"] for n in (uses - 1, uses)]
            assert cost[0] >= 0 > cost[1], sheet["name"]


def test_a_cached_token_costs_a_tenth_by_the_usual_rule():
    usual = prices.usual_rule()
    assert usual["read"] / usual["input"] == pytest.approx(0.1)


def test_a_count_that_is_missing_has_no_cost():
    unknown = [*MARKED, {"prompt": 1010, "read": None, "write": 0}]
    usual = prices.usual_rule()
    assert prices.automatic(unknown, usual) is None and prices.explicit(unknown, usual) is None
    assert prices.without([], usual) is None
    assert prices.explicit(MARKED, {"input": 1, "read": 0.5}) is None


def test_every_sheet_is_dated_and_reading_is_never_dearer():
    for sheet in prices.sheets():
        assert sheet["date"] and 0 < sheet["read"] <= sheet["input"], sheet["name"]


def test_every_sheet_goes_by_rules_that_are_there():
    rules = prices.rules()
    for sheet in prices.sheets():
        assert sheet["vendor"] and sheet["rules"] in rules, sheet["name"]
        for lifetime in rules[sheet["rules"]].get("lifetimes", {}):
            assert prices.write_price(sheet, lifetime) is not None, sheet["name"]


def test_an_endpoint_that_spent_its_minutes_is_given_up():
    fake = FakeEndpoint()
    endpoint = Endpoint("good", openai_url=f"{fake.url}/good/v1", budget_s=1e-6)
    endpoint.ask([Message("user", "Well?")])
    with pytest.raises(GivenUp, match="minutes were spent"):
        endpoint.ask([Message("user", "Well?")])
    assert fake.requests("good") == 1
    fake.stop()
