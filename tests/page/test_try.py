"""Try it: what the strip shows is what the API counts; one word changed at the start, one at the end."""

import json
import re

import pytest
from browser import axe, open_view, tab_through
from playwright.sync_api import expect

KINDS = ("read", "computed", "generated")


@pytest.fixture
def conversation(new_page, server):
    server.wait_idle()
    server.flush()
    return Conversation(open_view(new_page(), server, "try"), server)


class Conversation:
    def __init__(self, page, server):
        self.page, self.server = page, server

    def turn(self, number, state="finished"):
        self.page.locator(f".try-turn[aria-label='Request {number}'][data-state={state}]").wait_for()
        self.server.wait_idle()  # the reply as the next turn will send it is computed in the background
        return self.page.locator(f".try-turn[aria-label='Request {number}']")

    def press(self, name):
        self.page.get_by_role("button", name=name).click()

    def ask(self, question):
        self.page.get_by_label("Your question").fill(question)
        self.page.keyboard.press("Enter")

    def entry(self, turn):
        href = turn.get_by_role("link", name="Why this much was read").get_attribute("href")
        return self.server.get("/cache/requests/" + href.rsplit("/", 1)[1])


def shown(turn):
    """(read, computed, generated) of the strip's legend."""
    return tuple(
        int(turn.locator(f"[data-tokens={kind}]").inner_text().replace(",", "")) for kind in KINDS
    )


def requests_of(turn):
    """The bodies to copy: OpenAI's, Anthropic's."""
    turn.get_by_text("This request as JSON").click()
    return [json.loads(text) for text in turn.locator("pre").all_inner_texts()]


def widths(turn):
    return [part.bounding_box()["width"] for part in turn.locator(".try-strip .bar > i").all()]


@pytest.mark.parametrize("vendor", ["OpenAI", "Anthropic"])
def test_a_turns_strip_shows_what_the_api_counts(conversation, vendor):
    conversation.page.get_by_label(vendor, exact=True).check()
    conversation.press("Send")
    for number, question in ((1, None), (2, "How many steps are there?")):
        if question:
            conversation.ask(question)
        turn = conversation.turn(number)
        entry = conversation.entry(turn)
        read, computed, generated = shown(turn)
        assert (read, computed) == (entry["tokens"]["read"], entry["tokens"]["computed"])
        assert read + computed == entry["tokens"]["total"]
        assert generated == entry["generated"]
        parts = [tokens for tokens in (read, computed, generated) if tokens > 0]
        for width, tokens in zip(widths(turn), parts, strict=True):
            assert width == pytest.approx(sum(widths(turn)) * tokens / sum(parts), abs=2)
    assert read > 500 and computed < 40  # all of the first turn, its reply too


def test_the_first_token_stands_beside_what_it_would_have_been_cold(conversation):
    conversation.press("Send")
    conversation.turn(1)
    conversation.press("The same again")
    turn = conversation.turn(2)
    entry = conversation.entry(turn)

    def milliseconds(kind):
        number, unit = turn.locator(f"[data-time={kind}]").inner_text().split("\u202f")
        return float(number) * {"ms": 1, "s": 1000}[unit]

    warm, cold = entry["first_token_ms"], entry["first_token_ms"] + entry["saved_ms"]
    assert milliseconds("read") == pytest.approx(warm, abs=0.51)
    assert milliseconds("computed") == pytest.approx(cold, abs=5 if cold >= 1000 else 0.51)
    assert cold > 2 * warm


def test_one_word_at_the_start_costs_everything_and_one_at_the_end_nothing(conversation):
    conversation.press("Send")
    _, computed, _ = shown(conversation.turn(1))
    assert computed > 500
    conversation.press("Change one word at the end")
    read, anew, _ = shown(conversation.turn(2))
    assert read > 500 and anew < 20
    conversation.press("Change one word at the start")
    read, anew, _ = shown(turn := conversation.turn(3))
    assert read < 40 and anew > 500
    expect(turn).to_contain_text("“lighthouse” became “tower”")
    document = conversation.page.get_by_label("Document", exact=True).input_value()
    assert document.startswith("The tower of Northfell")
    conversation.press("The same again")
    read, anew, _ = shown(conversation.turn(4))
    assert anew <= 1


def test_both_vendors_requests_can_be_copied_and_are_the_same_prompt(conversation):
    conversation.press("Send")
    conversation.turn(1)
    conversation.ask("How thick are the walls?")
    turn = conversation.turn(2)
    read, computed, _ = shown(turn)
    openai, anthropic = requests_of(turn)
    again = conversation.server.post("/v1/chat/completions", {**openai, "stream": False, "stream_options": None})
    assert again["usage"]["prompt_tokens"] == read + computed
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == read + computed
    other = conversation.server.post("/v1/messages", {**anthropic, "stream": False})
    assert other["usage"]["cache_read_input_tokens"] == read + computed
    assert other["usage"]["input_tokens"] == 0


def test_marks_promise_and_cache_prompt_reads_nothing(conversation):
    page, server = conversation.page, conversation.server
    page.get_by_label("Mark on: Document").select_option("1h")
    conversation.press("Send")
    turn = conversation.turn(1)
    assert conversation.entry(turn)["tokens"]["written"] > 500
    assert server.get("/cache")["lifetimes"]["promises_to_1h"] == 1
    openai, anthropic = requests_of(turn)
    assert openai["messages"][0]["content"][1]["prompt_cache_breakpoint"]["ttl"] == "1h"
    assert anthropic["system"][1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    page.get_by_label("cache_prompt").uncheck()
    conversation.press("The same again")
    assert shown(conversation.turn(2))[0] == 0
    page.get_by_label("Anthropic", exact=True).check()
    assert page.get_by_label("cache_prompt").is_disabled()
    conversation.press("The same again")
    read, computed, _ = shown(conversation.turn(3))
    assert computed == 0 and read > 500


def test_a_reply_is_stopped_and_the_conversation_goes_on(conversation):
    page = conversation.page
    page.get_by_label("Longest reply, tokens").fill("4000")
    page.get_by_label("Longest reply, tokens").press("Tab")
    conversation.ask("Tell everything that you know about the sea, at great length.")
    expect(page.locator(".try-reply")).to_contain_text(re.compile("[a-z]"))  # it has begun
    page.keyboard.press("Escape")
    turn = conversation.turn(1, "stopped")
    assert conversation.entry(turn)["state"] == "cancelled"
    page.get_by_label("Longest reply, tokens").fill("8")
    conversation.ask("And the coast?")
    assert shown(conversation.turn(2))[0] > 500


def test_what_goes_wrong_is_said_in_its_place_and_the_question_is_kept(conversation):
    page = conversation.page
    page.watch.tolerate("status of 400")
    page.get_by_label("Document", exact=True).fill("word " * 9000)
    conversation.ask("Too long?")
    turn = conversation.turn(1, "failed")
    expect(turn.get_by_role("alert")).to_contain_text("context")
    expect(page.get_by_label("Your question")).to_have_value("Too long?")
    conversation.press("Reset")
    expect(page.locator(".try-turn")).to_have_count(0)
    expect(page.locator("view-try")).to_contain_text("Nothing asked yet")
    assert page.get_by_label("Document", exact=True).input_value().startswith("The lighthouse")


def test_turns_need_no_mouse_and_have_labels(conversation):
    page = conversation.page
    page.get_by_role("button", name="Send").focus()
    page.keyboard.press("Enter")
    turn = conversation.turn(1)
    assert page.evaluate("document.activeElement.innerText") == "Send"
    page.get_by_role("button", name="The same again").focus()
    page.keyboard.press("Space")
    conversation.turn(2)
    turn.get_by_text("This request as JSON").focus()
    page.keyboard.press("Enter")
    turn.locator("pre").first.wait_for()
    stops, missed = tab_through(page)
    assert missed == [] and all(stop["visible"] for stop in stops)
    assert axe(page) == []


def test_a_conversation_stays_while_another_view_is_open(conversation):
    conversation.press("Send")
    before = shown(conversation.turn(1))
    navigation = conversation.page.get_by_role("navigation")
    navigation.get_by_role("link", name="Overview").click()
    conversation.page.locator("view-overview").wait_for()
    navigation.get_by_role("link", name="Try it").click()
    assert shown(conversation.turn(1)) == before
