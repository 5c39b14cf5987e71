"""The Overview in a browser: its numbers are those of the API, for everybody and for one tenant."""

import datetime
import decimal
import json
import shlex
import subprocess
import time
import urllib.parse

import pytest
from api.conftest import ACME, OPS, ZENITH
from browser import open_view
from playwright.sync_api import expect

DOCUMENT = "The lighthouse keeper wrote down the wind, the rain and every ship that passed. " * 12


def ask(server, question, key=None):
    server.openai(key or "none").chat.completions.create(
        model="any", max_tokens=8, temperature=0,
        messages=[{"role": "system", "content": DOCUMENT}, {"role": "user", "content": question}])


def spaced(text):
    """As a person reads it: any run of spaces, narrow ones too, is one."""
    return " ".join(text.split())


def rounded(value, digits):
    """Halves upwards, as browsers round."""
    step = decimal.Decimal(1).scaleb(-digits)
    return f"{decimal.Decimal(value).quantize(step, decimal.ROUND_HALF_UP):,}"


def in_seconds(value):
    if value < 59.95:
        return f"{rounded(value, 2 if value < 10 else 1)} s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def in_milliseconds(value):
    if value is None:
        return "–"
    if value >= 1000:
        return in_seconds(value / 1000)
    return f"{rounded(value, 1 if value < 10 else 0)} ms"


def in_percent(share):
    return "–" if share is None else f"{rounded(100 * share, 1)} %"


def figure(page, name):
    """The lines of one of the figures on top: its title, its number, and what stands below."""
    lines = page.locator(f"[data-figure='{name}'] > *").all_inner_texts()
    return [spaced(line) for line in lines]


def shows(page, name, number):
    expect(page.locator(f"[data-figure='{name}'] dd").first).to_have_text(number)


def chart(page, title):
    return page.locator("section.chart", has=page.get_by_role("heading", name=title, exact=True))


def table(page, title):
    """{time of day: texts} of a chart's values as a table."""
    section = chart(page, title)
    if section.locator("details[open]").count() == 0:
        section.locator("summary").click()
    expect(section.locator("tbody tr").first).to_be_visible()
    rows = section.locator("tbody").evaluate(
        "body => [...body.rows].map(row => [...row.cells].map(cell => cell.innerText))")
    return {row[0]: [spaced(cell) for cell in row[1:]] for row in rows}


def shares(series, width):
    """{time of day: share read, as displayed}, each of the `width` steps that end there; unless some came before the
    series."""
    columns = series["columns"]
    steps = len(columns["time"])
    found = {}
    for i in range(0 if steps < 600 else width, steps):
        prompt, read = (sum(columns[name][max(0, i - width + 1):i + 1]) for name in ("prompt", "read"))
        clock = datetime.datetime.fromtimestamp(columns["time"][i]).strftime("%H:%M:%S")
        found[clock] = in_percent(read / prompt if prompt else None)
    return found


def test_the_figures_on_top_are_those_of_savings(server, page):
    for question in ("Who wrote?", "Who wrote?", "What passed?"):
        ask(server, question)
    open_view(page, server)
    prices = page.get_by_label("Money by the prices of")
    for name in (prices.input_value(), prices.locator("option").last.get_attribute("value")):
        prices.select_option(name)
        said = server.get(f"/savings?prices={urllib.parse.quote(name)}")["total"]
        total, hour = said["since_start"], said["last_hour"]
        assert total["requests"] >= 3 and total["tokens"]["read"] > 0
        shows(page, "waiting", in_seconds(total["waiting_seconds"]))
        shows(page, "cpu", in_seconds(total["cpu_seconds"]))
        shows(page, "share", in_percent(total["read_share"]))
        shows(page, "requests", f"{total['requests']:,}")
        shows(page, "first-token", in_milliseconds(total["first_token"]["cached"]["median_ms"]))
        assert f"cold {in_milliseconds(total['first_token']['cold']['median_ms'])}; medians" in figure(
            page, "first-token")
        assert f"{total['tokens']['read']:,} tokens of {total['tokens']['prompt']:,}" in figure(page, "share")
        assert f"{in_seconds(hour['waiting_seconds'])} in the last hour" in figure(page, "waiting")
        saved = float(figure(page, "money")[1].split()[0].lstrip("$").replace(",", ""))
        assert saved == pytest.approx(total["money"]["saved"], rel=6e-3), "three digits are shown"


def test_the_charts_show_the_series_of_the_chosen_span(server, page):
    ask(server, "Who wrote?")
    ask(server, "Who wrote?")
    server.wait_idle()
    time.sleep(2)  # steps of a second
    open_view(page, server)
    for label, span, width, distance in (("10 minutes", "10m", 60, 1), ("24 hours", "24h", 15, 60)):
        page.get_by_label(label).check()
        note = f"share of each last {'minute' if span == '10m' else '15 minutes'}"
        expect(chart(page, "Prompt tokens read from the cache")).to_contain_text(note)
        displayed = table(page, "Prompt tokens read from the cache")
        series = server.get(f"/cache/series?span={span}")
        assert series["step_seconds"] == distance
        expected = shares(series, width)
        compared = {time for time in displayed if time in expected}
        assert {time: displayed[time] for time in compared} == {time: [expected[time]] for time in compared}
        assert any(expected[time] not in ("–", "0.0 %") for time in compared)


def test_a_legend_is_used_by_keyboard(server, page):
    ask(server, "Who wrote?")
    open_view(page, server)
    button = chart(page, "Tokens a second").get_by_role("button", name="computed")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Tab")
    expect(chart(page, "Tokens a second").get_by_role("button", name="generated")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")


def test_before_the_first_request_it_says_how_to_send_one(start, page):
    server = start()
    open_view(page, server)
    expect(page.get_by_role("heading", name="No request yet")).to_be_visible()
    command = page.locator(".empty code").inner_text()
    assert f"http://127.0.0.1:{server.port}/" in command
    words = shlex.split(command.replace("\\\n", " "))
    at = words.index("-d") + 1
    words[at] = json.dumps({**json.loads(words[at]), "max_tokens": 4})
    subprocess.run([*words, "--silent", "--fail"], check=True, capture_output=True, timeout=60)
    expect(page.get_by_role("heading", name="No request yet")).to_be_hidden(timeout=15_000)
    shows(page, "requests", "1")


def test_what_is_wrong_is_said_and_tried_again(server, page, watch):
    watch.tolerate("status of 500")
    ask(server, "Who wrote?")
    sentence = "The engine is busy with something else."
    page.route("**/cache/series*", lambda route: route.fulfill(
        status=500, json={"error": {"message": sentence}}))
    open_view(page, server)
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    page.unroute("**/cache/series*")
    page.get_by_role("button", name="Try again").click()
    expect(chart(page, "Tokens a second")).to_be_visible()
    expect(page.get_by_text(sentence)).to_be_hidden()


def enter(page, key):
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")


def test_each_key_shows_its_own(guarded, page, watch):
    watch.tolerate("status of 401")  # of the key of nobody
    asked = guarded()
    for _ in range(2):
        ask(asked.server, "Who wrote?", ACME)
    ask(asked.server, "What passed?", ZENITH)
    asked.idle()

    open_view(page, asked.server, ready=False)
    expect(page.get_by_role("heading", name="This server asks for a key")).to_be_visible()
    enter(page, "key-of-nobody")
    expect(page.get_by_role("alert")).to_have_text("The API key is not valid.")
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0

    enter(page, ACME)
    _, said = asked.json(ACME, "/savings")
    figures = said["total"]["since_start"]
    shows(page, "requests", f"{figures['requests']:,}")
    shows(page, "share", in_percent(figures["read_share"]))
    expect(page.locator("#who")).to_contain_text("acme/main")
    for title in ("Memory of the cache", "Tokens a second"):
        expect(chart(page, title)).to_be_visible()
    expect(chart(page, "Requests")).to_have_count(0)
    expect(page.locator("#tenants")).to_have_count(0)
    assert "zenith" not in page.locator("body").inner_text()
    assert ACME not in page.evaluate("JSON.stringify(localStorage) + document.cookie")

    page.get_by_role("button", name="Forget key").click()
    expect(page.get_by_label("API key")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0
    enter(page, OPS)
    _, said = asked.json(OPS, "/savings")
    shows(page, "requests", f"{said['total']['since_start']['requests']:,}")
    expect(chart(page, "Requests")).to_be_visible()
    rows = [spaced(row) for row in page.locator("#tenants tbody tr").all_inner_texts()]
    assert len(rows) == len(said["tenants"]) >= 2
    for row, each in zip(rows, said["tenants"]):
        figures = each["since_start"]
        assert row.startswith(f"{each['tenant']} {figures['requests']:,} {figures['tokens']['prompt']:,}")
