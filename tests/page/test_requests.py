"""The requests in a browser: the list and the one that is opened say what the API says, with the keyboard alone."""

import json

import pytest
from api.conftest import ACME, OPS, ZENITH
from browser import axe, open_view, tab_through
from playwright.sync_api import expect


def spaced(text):
    """As a person reads it: any run of spaces, narrow ones too, is one."""
    return " ".join(text.split())


def past(server, request_id):
    return server.get(f"/cache/requests/{request_id}?text=true")


def opened(page, server, request_id):
    open_view(page, server, "requests", request_id)
    page.locator(".explanation .what").wait_for()
    expect(page.locator(".prompt-text")).to_have_count(2)
    return page


def figures(page):
    lines = [spaced(text) for text in page.locator(".figures > div").all_inner_texts()]
    return {line.split(" ")[0]: line for line in lines}


def marked(page, panel):
    """The words around the mark as they stand there: (before, marked)."""
    return page.locator(f".prompt-panel:nth-of-type({panel}) .part-text:has(mark)").evaluate(
        """(text) => {
          const mark = text.querySelector('mark');
          const range = document.createRange();
          range.setStart(text, 0);
          range.setEndBefore(mark);
          return [range.toString(), mark.textContent];
        }""")


def check_numbers(page, entry):
    tokens = entry["prompts"][0]["tokens"]
    shown = figures(page)
    assert shown["Prompt"].startswith(f"Prompt {tokens['total']:,} token")
    assert f"Read from the cache {tokens['read']:,} token" in shown["Read"]
    assert f"{100 * tokens['read'] / tokens['total']:.1f} %" in shown["Read"]
    assert shown["Computed"].startswith(f"Computed {tokens['computed']:,} token")
    assert shown["Generated"].startswith(f"Generated {entry['generated']:,} token")


# -- One opened -----------------------------------------------------------------------------------


def test_a_changed_word_is_explained_and_marked_on_both_sides(page, traffic):
    after = past(traffic.server, traffic.ids["clock_after"])
    prompt = after["prompts"][0]
    moved = prompt["explanation"]["moved_tokens"]
    assert moved > 300
    opened(page, traffic.server, after["id"])
    what = page.locator(".explanation .what").inner_text()
    assert what == f"The clock in the system text (“nine” before, “ten” now) moved {moved:,} tokens out of reach."
    assert page.locator(".explanation .advice").inner_text().startswith("Put the clock behind the document")
    check_numbers(page, after)

    assert prompt["first_difference"]["this"]["differs"] == "ten"
    assert prompt["first_difference"]["closest"]["differs"] == "nine"
    for panel, side in ((1, "this"), (2, "closest")):
        before, differs = marked(page, panel)
        assert differs == prompt["first_difference"][side]["differs"]
        assert before.endswith(prompt["first_difference"][side]["before"].rsplit("\n", 1)[-1])
    link = page.locator(".prompt-panel:nth-of-type(2) a").first
    assert link.inner_text() == traffic.ids["clock_before"] == prompt["closest"]["id"]
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".request-id")).to_have_text(traffic.ids["clock_before"])


def test_an_evicted_prefix_is_explained(page, traffic):
    after = past(traffic.server, traffic.ids["evicted_after"])
    prompt = after["prompts"][0]
    assert prompt["why"]["reason"] == "evicted"
    opened(page, traffic.server, after["id"])
    what = page.locator(".explanation .what").inner_text()
    assert what == prompt["explanation"]["what"]
    shared = prompt["closest"]["shared_tokens"]
    assert what.startswith(f"It begins with the same {shared:,} tokens as {traffic.ids['evicted_before']}, of which ")
    assert "the rest was evicted" in what and "to make room for" in what
    assert "give --kv-memory more" in page.locator(".explanation .advice").inner_text()
    check_numbers(page, after)


def test_the_text_is_whole_and_says_what_was_read_by_more_than_colour(page, traffic):
    turn = past(traffic.server, traffic.ids["second_turn"])
    prompt = turn["prompts"][0]
    opened(page, traffic.server, turn["id"])
    panel = page.locator(".prompt-panel").first
    for button in panel.get_by_role("button", name="Show all").all():
        button.focus()
        page.keyboard.press("Enter")
    expect(panel.get_by_role("button", name="Show all")).to_have_count(0)
    parts = panel.locator(".prompt-part")
    assert parts.count() == len(prompt["text"])
    for shown, part in zip(parts.all(), prompt["text"]):
        assert shown.locator(".part-name").inner_text() == part["part"]
        assert shown.locator(".part-text").evaluate("(element) => element.textContent") == part["text"]
        state = spaced(shown.locator(".part-state").inner_text())
        if part["read"] == part["tokens"]:
            assert state.startswith("read, ")
        elif part["read"] == 0:
            assert state.startswith("computed, ")
        else:
            assert state.startswith(f"{part['read']} of {part['tokens']} token")
        read = shown.locator(".t-read").evaluate_all("(all) => all.map((each) => each.textContent).join('')")
        assert len(read) <= part["read_characters"], "the mark may stand within what was read"
    borders = parts.evaluate_all("(all) => [...new Set(all.map((each) => getComputedStyle(each).borderLeftStyle))]")
    assert len(borders) > 1


def test_one_opened_bars_nobody_and_is_used_by_keyboard(new_page, traffic):
    for scheme, phone in (("light", False), ("dark", False), ("light", True)):
        page = new_page(scheme, phone=phone)
        opened(page, traffic.server, traffic.ids["clock_after"])
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    stops, missed = tab_through(page)
    assert missed == [] and all(stop["visible"] for stop in stops)


def test_an_unknown_request_is_no_riddle(page, traffic):
    page.watch.tolerate("404")
    open_view(page, traffic.server, "requests", "req_unknown")
    expect(page.locator(".empty")).to_contain_text("There is no request req_unknown in the history")
    page.get_by_role("link", name="All requests").last.click()
    expect(page.locator(".requests-table")).to_be_visible()


# -- The list -------------------------------------------------------------------------------------


def rows(page):
    return page.locator(".requests-table tbody tr")


def column(page, name):
    return [spaced(text) for text in page.locator(f".requests-table tbody [data-column={name}]").all_inner_texts()]


def test_the_list_has_the_numbers_of_the_api(page, traffic):
    entries = traffic.server.get("/cache/requests")["requests"]
    open_view(page, traffic.server, "requests")
    expect(rows(page)).to_have_count(len(entries))
    assert rows(page).evaluate_all("(all) => all.map((row) => row.dataset.id)") == [entry["id"] for entry in entries]
    assert column(page, "tokens") == [f"{entry['tokens']['total']:,}" for entry in entries]
    assert column(page, "generated") == [f"{entry['generated']:,}" for entry in entries]
    shares = [f"{100 * entry['tokens']['read'] / entry['tokens']['total']:.1f} %" for entry in entries]
    assert column(page, "read") == shares
    words = dict(zip([entry["id"] for entry in entries], column(page, "reason")))
    assert words[traffic.ids["evicted_after"]] == "evicted for room"
    assert words[traffic.ids["again"]] == "read as a whole"
    assert words[traffic.ids["clock_after"]].startswith("new from messages[0] on")


def test_it_is_filtered_sorted_and_opened_by_keyboard(page, traffic):
    open_view(page, traffic.server, "requests")
    page.locator("#requests-text").focus()
    page.keyboard.type("evicted")
    expect(rows(page)).to_have_count(1)
    assert rows(page).first.get_attribute("data-id") == traffic.ids["evicted_after"]
    page.locator("#requests-text").fill("")
    page.locator("#requests-reason").select_option("evicted")
    expect(rows(page)).to_have_count(1)
    page.locator("#requests-reason").select_option("")

    button = page.get_by_role("button", name="Prompt tokens")
    button.focus()
    page.keyboard.press("Enter")
    totals = [int(text.replace(",", "")) for text in column(page, "tokens")]
    assert totals == sorted(totals, reverse=True)
    expect(page.locator("th[data-column=tokens]")).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Enter")
    totals = [int(text.replace(",", "")) for text in column(page, "tokens")]
    assert totals == sorted(totals)

    links = page.locator(".requests-table tbody a")
    links.first.focus()
    page.keyboard.press("ArrowDown")
    wanted = rows(page).nth(1).get_attribute("data-id")
    page.keyboard.press("Enter")
    expect(page.locator(".request-id")).to_have_text(wanted)


def test_a_request_appears_while_one_looks(page, server):
    reply = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Before."}], "max_tokens": 4})
    open_view(page, server, "requests")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(rows(page)).not_to_have_count(0)
    reply = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Now."}], "max_tokens": 4})
    new = page.locator(f"tr[data-id='{reply['headers']['x-request-id']}']")
    expect(new.locator("[data-column=state]")).to_have_text("finished")
    assert rows(page).first.get_attribute("data-id") == reply["headers"]["x-request-id"]


def test_without_requests_it_says_what_to_do_first(page, start):
    server = start()
    open_view(page, server, "requests")
    expect(page.locator(".empty h2")).to_have_text("No request yet")
    server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello."}], "max_tokens": 2})
    expect(rows(page)).to_have_count(1)


@pytest.mark.parametrize("key, tenants", [(ACME, None), (OPS, ["acme/main", "zenith/main"])])
def test_a_tenant_sees_its_own_and_an_administrator_chooses(page, guarded, key, tenants):
    server = guarded()
    for asking in (ACME, ZENITH):
        server.server.openai(asking).chat.completions.create(
            model="any", max_tokens=2, messages=[{"role": "user", "content": "Hello there."}])
    page.add_init_script(f"sessionStorage.setItem('reprise-key', {json.dumps(key)})")
    open_view(page, server.server, "requests")
    expect(rows(page)).to_have_count(1 if tenants is None else 2)
    if tenants is None:
        assert page.locator("#requests-tenant").is_hidden() and "zenith" not in page.content()
        return
    assert page.locator("#requests-tenant option").all_inner_texts() == ["all", *tenants]
    page.locator("#requests-tenant").select_option("zenith/main")
    expect(rows(page)).to_have_count(1)
    assert column(page, "tenant") == ["zenith/main"]


# -- Long ones ------------------------------------------------------------------------------------


def test_a_prompt_of_100000_tokens_does_not_hold_up_the_page(page, traffic):
    """The server's answer is made longer than the model's context is; the view must not mind."""
    real = past(traffic.server, traffic.ids["clock_after"])
    text = "".join(f"Line {n} of a very long document that says little.\n" for n in range(9000))
    real["prompts"][0]["text"] = [
        {"part": "messages[0]", "token": 0, "tokens": 100_000, "read": 50_000,
         "read_characters": len(text) // 2, "text": text}]
    real["prompts"][0]["first_difference"]["character"] = len(text) // 2
    page.route(f"**/cache/requests/{real['id']}?*", lambda route: route.fulfill(json=real))
    page.add_init_script("""
      window.longest = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
      }).observe({type: 'longtask', buffered: true});""")
    opened(page, traffic.server, real["id"])
    page.get_by_role("button", name="Show all").first.click()
    assert page.locator(".prompt-panel").first.locator(".part-text").evaluate("(e) => e.textContent.length") == len(text)
    page.wait_for_timeout(300)
    assert page.evaluate("window.longest") < 1000, "the slowest task, in ms"
