"""Hits of automatic caching and of explicit breakpoints: resent at once, under pressure, after
pauses."""
import random

from article import charts, numbers
from article.endpoint import Message
from article.sections import about, known
from article.study import Group, Step
from article.targets import SHORT_RETENTION_S
from page import table

TITLE = "2. Hit rate, automatic and explicit"
SENTENCE = "Automatic caching hit about half of the time, explicit breakpoints every time."

MODES = ("automatic", "explicit")
TOLERANCE = 136        # tokens: vendors round what was read down to a multiple of 128
PAUSE_S = 11 * 60      # over the 10 minutes that an unused prompt lives
REPLY_TOKENS = 8


def plan(study):
    """A server of its own for each mode: what marks hold must not press on the unmarked run."""
    sizes, groups = study.sizes, []
    groups.append(Group("plain", [
        Step(f"resend/{target}/{mode}/{number}", target, 1 + sizes.resends,
             _resend(study, mode, number))
        for target in study.targets for mode in MODES for number in range(sizes.resend_documents)]))
    for mode in MODES:
        requests = sizes.conversations * sizes.turns
        groups.append(Group("pressure", [
            Step(f"pressure/{target}/{mode}", target, 2 * requests, _pressure(study, mode))
            for target in study.targets]))
        groups.append(Group("pauses", [
            Step(f"pauses/{target}/{mode}", target, requests, _pauses(study, mode, target))
            for target in study.targets]))
    return groups


def _mark(mode, endpoint):
    """Anthropic's longest lifetime, OpenAI's only one; None if nothing is to be marked."""
    if mode == "automatic":
        return None
    return "30m" if endpoint.marks == "openai" else "1h"


def _resend(study, mode, number):
    def work(endpoint):
        mark = _mark(mode, endpoint)
        text = study.text(study.sizes.short_tokens, endpoint, f"resend {mode} {number}",
                          order=f"resend {number}")
        asked = about(text, "What is this about?", mark)
        asked[-1] = Message("user", asked[-1].text, mark)
        known(endpoint.ask(asked))
        return [known(endpoint.ask(asked)).hit() for _ in range(study.sizes.resends)]
    return work


class Conversation:
    """One that goes on turn by turn, its last message marked as agents do."""

    def __init__(self, study, endpoint, name, number, mark):
        self.mark, self.expected, self.turn = mark, None, 0
        text = study.text(study.sizes.conversation_tokens, endpoint, f"{name} {number}",
                          order=f"conversation {number}")
        self.messages = [Message("system", text, mark)]
        titles = [document.title for document in study.corpus.documents]
        self.questions = random.Random(number).sample(titles, study.sizes.turns)

    def go_on(self, endpoint):
        """Asks the next question; what of the previous turn's prompt was read."""
        question = f"What should I know about this: {self.questions[self.turn]}?"
        history = [Message(m.role, m.text) for m in self.messages[1:]]
        asked = [self.messages[0], *history, Message("user", question, self.mark)]
        reply = known(endpoint.ask(asked, REPLY_TOKENS))
        result = {"turn": self.turn, "expected": self.expected, "read": reply.read,
                  "prompt": reply.prompt, "write": reply.write, "first": reply.first}
        self.messages = [*asked, Message("assistant", reply.text or "…")]
        self.expected, self.turn = reply.prompt, self.turn + 1
        return result


def _conversations(study, name, endpoint, mode):
    mark = _mark(mode, endpoint)
    return [Conversation(study, endpoint, f"{name} {mode}", number, mark)
            for number in range(study.sizes.conversations)]


def _pressure(study, mode):
    def work(endpoint):
        conversations = _conversations(study, "pressure", endpoint, mode)
        schedule = conversations * study.sizes.turns
        random.Random("schedule").shuffle(schedule)
        results = []
        for number, conversation in enumerate(schedule):
            results.append(conversation.go_on(endpoint))
            stranger = study.text(study.sizes.stranger_tokens, endpoint,
                                  f"stranger {mode} {number}", order=f"stranger {number}")
            endpoint.ask(about(stranger, "What is this about?"))
        return results
    return work


def _pause_s(study, target):
    if study.targets[target].has_clock:
        return PAUSE_S
    if study.targets[target].takes_any_lifetime:
        return SHORT_RETENTION_S + 1
    return study.sizes.blind_pauses_s[1]


def _pauses(study, mode, target):
    pause_s = _pause_s(study, target)

    def work(endpoint):
        conversations = _conversations(study, "pauses", endpoint, mode)
        results = []
        for turn in range(study.sizes.turns):
            if turn:
                endpoint.pause(pause_s)
            results += [conversation.go_on(endpoint) for conversation in conversations]
        return results
    return work


# -- The report ----------------------------------------------------------------------------------

def resent(study, target, mode):
    """(hits, resends)"""
    hits = [hit for run in study.results.all(f"resend/{target}/{mode}/").values() for hit in run]
    return sum(hits), len(hits)


def later_turns(study, kind, target, mode):
    key = f"{kind}/{target}/{mode}"
    turns = study.results[key] if key in study.results else []
    return [turn for turn in turns if turn["expected"]]


def hits(turns):
    """(turns whose predecessor's whole prompt was read, turns)"""
    return sum(turn["read"] >= turn["expected"] - TOLERANCE for turn in turns), len(turns)


def rate(study, kind, target, mode):
    found = resent(study, target, mode) if kind == "resend" else \
        hits(later_turns(study, kind, target, mode))
    return numbers.ratio(*found)


def summary(study, target):
    under = {mode: rate(study, "pressure", target, mode) for mode in MODES}
    if under["automatic"] is None and under["explicit"] is None:
        return numbers.NONE
    return (f"under pressure: automatic {numbers.percent(under['automatic'])}, "
            f"explicit {numbers.percent(under['explicit'])}")


def _pause_words(study, target):
    pause_s = _pause_s(study, target)
    if study.targets[target].has_clock:
        return f"{target} {pause_s // 60} minutes on a moved clock"
    return f"{target} {pause_s:g} s"


def report(study):
    sizes = study.sizes
    lines = [
        f"*Resent at once*: {sizes.resend_documents} new prompts, each sent again {sizes.resends} "
        f"times without a pause. *Pressure*: {sizes.conversations} conversations go on in a random "
        f"order for {sizes.turns} turns, and after each turn comes somebody else's new prompt of "
        f"{sizes.stranger_tokens:,} tokens; the servers started here have room for "
        f"{sizes.pressure_tokens:,} tokens of K and V "
        f"({sizes.pressure_tokens * study.token_bytes >> 20} MiB; ours lets marks hold three "
        "quarters of it, llama-server has half in its slots and half in its store of idle "
        "conversations). *Pauses*: all conversations pause between two turns: "
        f"{', '.join(_pause_words(study, target) for target in study.targets)}. The same "
        "conversations unmarked and marked: a marker on the system text and one on the last "
        "message. A turn is a hit if all of the previous turn's prompt was read (but for "
        f"{TOLERANCE} tokens, as vendors round down). First turns do not count.", ""]
    rows = []
    for target in study.targets:
        for mode in MODES:
            row = [target, mode, _cell(*resent(study, target, mode))]
            for kind in ("pressure", "pauses"):
                turns = later_turns(study, kind, target, mode)
                read = [min(turn["read"], turn["expected"]) for turn in turns]
                share = numbers.share(read, [turn["expected"] for turn in turns])
                row += [_cell(*hits(turns)), numbers.percent(share)]
            rows.append(row)
    lines += [*table(["", "", "resent at once", "pressure: hits", "tokens read", "pauses: hits",
                      "tokens read"], rows, right=range(2, 7)), ""]
    for target in study.targets:
        reasons = {study.missing(f"{kind}/{target}/") for kind in ("resend", "pressure", "pauses")}
        for reason in filter(None, reasons):
            lines += numbers.notes(f"{target}: {reason}")
    return lines


def _cell(part, whole):
    return f"{numbers.percent(numbers.ratio(part, whole))} ({part} of {whole})" if whole else \
        numbers.NONE


def charts_of(study):
    data = {f"{target}, {mode}": [rate(study, kind, target, mode)
                                  for kind in ("resend", "pressure", "pauses")]
            for target in study.targets for mode in MODES}
    data = {name: rates for name, rates in data.items() if any(r is not None for r in rates)}
    kinds = ["resent at once", "under pressure", "after pauses"]
    return {"hit-rate": charts.hit_rates(data, kinds)} if data else {}
