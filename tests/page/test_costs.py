"""Elsewhere: what is displayed is what GET /cache/costs says, for each price list."""

import re

from browser import axe, open_view, tab_through
from playwright.sync_api import expect

ASK = "Prices and rules of"


def spaced(text):
    return " ".join(text.split())


def number(text):
    return float(re.sub(r"[^0-9.]", "", text))


def is_shown(text, cost):
    """Three digits that say something, two after the point from 1 on."""
    assert abs(number(text) - cost) <= max(0.0051 * cost, 1e-9), (text, cost)


def row(page, selector):
    return [spaced(text) for text in page.locator(f"{selector} > td").all_inner_texts()]


def test_each_way_shows_what_the_api_says(page, traffic):
    open_view(page, traffic.server, "costs")
    page.locator("#costs-table").wait_for()
    said = traffic.server.get("/cache/costs")
    assert said["requests"] >= 10
    expect(page.locator("#costs-traffic")).to_contain_text(f"{said['tokens']['prompt']:,}")
    chooser = page.get_by_label(ASK)
    names = [each["name"] for each in said["sheets"]]
    assert chooser.locator("option").evaluate_all("all => all.map(each => each.value)") == names
    read_somewhere = False
    for name in ("Anthropic Opus 5.5", "OpenAI GPT-6.1 Sol", "OpenAI's rule for 5 (input = 1)", "DeepSeek Flash"):
        chooser.select_option(name)
        sheet = next(each for each in said["sheets"] if each["name"] == name)
        ways = {"automatic": sheet, "marked": sheet["marked"], "best": sheet["best"], "here": sheet["here"]}
        for way, bill in ways.items():
            if bill is None:
                expect(page.locator(f"[data-way={way}]")).to_have_count(0)
                continue
            cells = row(page, f"[data-way={way}]")
            assert cells[1:4] == [f"{bill[kind]:,}" for kind in ("read", "written", "computed")], way
            is_shown(cells[4].split()[0], bill["cost"])
            read_somewhere = read_somewhere or (way != "here" and bill["read"] > 0)
        is_shown(row(page, "[data-way=without]")[4].split()[0], sheet["without_cache"])
        listed = page.locator("#costs-placings li")
        expect(listed).to_have_count(len(sheet["best"]["placings"]) if sheet["best"] else 0)
        rules = spaced(page.locator("[aria-labelledby=costs-rules]").inner_text())
        assert f"{sheet['rules']['minimum']:,} tokens" in rules and sheet["date"] in rules
    assert read_somewhere
    for sheet in said["sheets"]:
        costs = row(page, f"[data-sheet=\"{sheet['name']}\"]")
        is_shown(costs[0].split()[0], sheet["without_cache"])
        is_shown(costs[1].split()[0], sheet["cost"])


def test_the_choice_stays_in_the_tab(page, traffic):
    open_view(page, traffic.server, "costs")
    page.get_by_label(ASK).select_option("DeepSeek Flash")
    page.reload()
    expect(page.get_by_label(ASK)).to_have_value("DeepSeek Flash")
    expect(page.get_by_role("heading", name="DeepSeek Flash")).to_be_visible()


def test_it_is_for_everybody(new_page, traffic):
    for scheme, phone in (("light", False), ("dark", True)):
        page = open_view(new_page(scheme, phone), traffic.server, "costs")
        page.locator("#costs-table").wait_for()
        assert axe(page) == []
        _, missed = tab_through(page)
        assert missed == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_before_the_first_request_it_says_what_to_do(start, page):
    open_view(page, start(), "costs")
    expect(page.get_by_role("heading", name="No request yet")).to_be_visible()


def test_what_is_wrong_is_said_and_tried_again(page, watch, traffic):
    watch.tolerate("status of 500")
    page.route("**/cache/costs", lambda route: route.fulfill(status=500, json={"error": {"message": "No room."}}))
    open_view(page, traffic.server, "costs")
    expect(page.get_by_role("alert")).to_contain_text("No room.")
    page.unroute("**/cache/costs")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#costs-table")).to_be_visible()
