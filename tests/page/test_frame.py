"""What is the same for all views: the policy, the console, labels and contrast, phone, keyboard, keys, a lost server."""

import re

import pytest
from api.conftest import ACME, OPS, ZENITH
from browser import ROOT, VIEWS, axe, open_view, tab_through
from playwright.sync_api import expect

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
every_view = pytest.mark.parametrize("view", VIEWS)


def settle(page):
    """Until the live connection stands and nothing more is loaded: what a view shows at first."""
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    page.wait_for_timeout(300)


def test_the_document_has_the_policy_and_needs_no_exception_of_it(server):
    status, headers, body = server.ask("GET", "/", headers=HTML)
    assert status == 200
    assert headers["Content-Security-Policy"] == POLICY
    text = body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "a script in the document itself"
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|data:", text)
    for file in re.findall(r'(?:src|href)="(page/[^"]+)"', text):
        status, headers, _ = server.ask("GET", f"/{file}")
        assert (status, headers["Content-Security-Policy"]) == (200, POLICY), file


@every_view
def test_a_view_opens_and_asks_nobody_else(page, traffic, view):
    open_view(page, traffic.server, view)
    settle(page)
    assert page.locator("h1").count() == 1
    assert page.locator("#views a[aria-current=page]").count() == 1
    assert page.locator(".note.error").count() == 0
    assert len(page.watch.urls) > 5


@pytest.mark.parametrize("form", ["light", "dark", "phone"])
@every_view
def test_axe_finds_nothing_that_bars_people(new_page, traffic, view, form):
    page = new_page("dark" if form == "dark" else "light", phone=form == "phone")
    open_view(page, traffic.server, view)
    settle(page)
    assert axe(page) == []


@every_view
def test_a_phone_needs_not_be_pushed_sideways(new_page, traffic, view):
    page = new_page(phone=True)
    open_view(page, traffic.server, view)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@every_view
def test_the_tab_key_reaches_everything_and_shows_where_it_is(page, traffic, view):
    open_view(page, traffic.server, view)
    settle(page)
    stops, missed = tab_through(page)
    assert missed == []
    assert [stop for stop in stops if not stop["visible"]] == []


def test_links_of_the_frame_are_followed_by_enter(page, traffic):
    open_view(page, traffic.server)
    for name, view in (("Tree", "tree"), ("Requests", "requests"), ("Try it", "try"), ("Elsewhere", "costs")):
        page.get_by_role("navigation").get_by_role("link", name=name).focus()
        page.keyboard.press("Enter")
        expect(page.locator(f"view-{view}")).to_have_count(1)
        expect(page.locator("main > *")).to_have_count(1)


# -- Keys -----------------------------------------------------------------------------------------


def give_key(page, key):
    page.get_by_label("API key").fill(key)
    page.get_by_label("API key").press("Enter")


def test_a_server_with_keys_asks_for_one_and_keeps_it_in_the_tab(page, guarded):
    page.watch.tolerate("status of 401")  # of the key of nobody
    server = guarded().server
    open_view(page, server, ready=False)
    give_key(page, "key-of-nobody")
    expect(page.get_by_role("alert")).to_contain_text("key")
    give_key(page, ACME)
    page.locator("view-overview h1").wait_for()
    expect(page.locator("#who")).to_contain_text("acme/main")
    stored = page.evaluate("[Object.values(sessionStorage), Object.keys(localStorage), document.cookie]")
    assert stored == [[ACME], [], ""]
    page.reload()
    page.locator("view-overview h1").wait_for()
    assert not [url for url in page.watch.urls if "key-of" in url]
    assert "key-of" not in page.content()
    page.get_by_role("button", name="Forget key").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


@every_view
def test_a_tenant_sees_nothing_of_anothers(page, guarded_server, view):
    for key, word in ((ZENITH, "submarine"), (ACME, "carousel")):
        body = {"messages": [{"role": "user", "content": f"Tell me about the {word}."}], "max_tokens": 4}
        status, reply = guarded_server.ask(key, "POST", "/v1/chat/completions", body)
        assert status == 200, reply
    guarded_server.idle()
    open_view(page, guarded_server.server, view, ready=False)
    give_key(page, ACME)
    page.locator(f"view-{view} h1").first.wait_for()
    settle(page)
    shown = page.content()
    assert "zenith" not in shown and "submarine" not in shown
    assert OPS not in shown


# -- The server goes and comes --------------------------------------------------------------------


def test_a_server_that_stops_is_missed_and_found_again(page, start):
    page.watch.tolerate("ERR_|Failed to load resource")
    first = start()
    open_view(page, first)
    settle(page)
    port = first.port
    first.stop()
    expect(page.locator("#connection")).to_have_attribute("data-state", "reconnecting")
    second = start("--port", port)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=20_000)
    second.post("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 2})
    open_view(page, second, "requests")
    expect(page.locator("view-requests")).to_contain_text("/v1/completions")


def test_its_colours_are_those_of_the_benchs_charts():
    charts = re.search(r"^COLOURS = \((.*?)\)", (ROOT / "bench/article/charts.py").read_text(), re.M).group(1)
    theme = (ROOT / "src/page/files/theme.css").read_text()
    light = dict(reversed(pair) for pair in re.findall(r"^  --(read|computed|generated|promised): (#\w+);", theme, re.M))
    assert [light.get(colour) for colour in re.findall(r"#\w+", charts)[:4]] == ["read", "computed", "generated", "promised"]
