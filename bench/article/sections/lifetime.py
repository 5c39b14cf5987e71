"""How long entries live: asked for again after growing pauses, with and without refresh."""
import time

from article import charts, numbers
from article.endpoint import Message
from article.sections import about, known
from article.study import Group, Step
from article.targets import SHORT_RETENTION_S
from page import table

TITLE = "4. Lifetime"
SENTENCE = "Entries live 5 to 10 minutes, and each use renews them."

FRACTIONS = (0.2, 0.5, 0.8, 0.95, 1.05, 1.5, 2.0)  # of the lifetime
SHORT_FRACTIONS = (0.5, 0.9, 1.3, 2.0)             # where pauses are real: further from the edge
REFRESHES, REFRESH_FRACTION, END_FRACTION = 6, 0.8, 1.2
AUTOMATIC_S = 600     # our default; the article: 5 to 10 minutes
SHORT_MARK_S = 4
DOCUMENT_TOKENS = 200
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(lifetime):
    return int(lifetime[:-1]) * UNITS[lifetime[-1]]


def _kinds(study, target):
    """mode → (profile, mark, lifetime in seconds or None if it is not known)"""
    if study.targets[target].has_clock:
        return {"automatic": ("pauses", None, AUTOMATIC_S),
                **{mark: ("promises", mark, seconds(mark)) for mark in study.sizes.lifetimes}}
    if study.targets[target].takes_any_lifetime:
        return {"automatic": ("pauses", None, SHORT_RETENTION_S),
                f"{SHORT_MARK_S}s": ("promises", f"{SHORT_MARK_S}s", SHORT_MARK_S)}
    marked = {"5m": ("promises", "5m", None)} if study.offers(target).get("marks") else {}
    return {"automatic": ("pauses", None, None), **marked}


def _pauses(study, target, lifetime):
    """Seconds. A server whose lifetimes cannot be hurried is asked after short pauses only."""
    if lifetime is None:
        return study.sizes.blind_pauses_s
    fractions = FRACTIONS if study.targets[target].has_clock else SHORT_FRACTIONS
    return tuple(round(fraction * lifetime, 1) for fraction in fractions)


def _trials(study, target):
    return study.sizes.lifetime_trials if study.targets[target].has_clock else 1


def plan(study):
    groups = []
    for target in study.targets:
        for mode, (profile, mark, lifetime) in _kinds(study, target).items():
            steps = [Step(f"lifetime/{target}/{mode}/{pause}/{trial}", target, 2,
                          _after(study, f"{mode} {pause} {trial}", mark, pause, bool(lifetime)))
                     for pause in _pauses(study, target, lifetime)
                     for trial in range(_trials(study, target))]
            if lifetime:
                steps += [Step(f"refresh/{target}/{mode}/{trial}", target, REFRESHES + 2,
                               _refreshed(study, f"{mode} refreshed {trial}", mark, lifetime))
                          for trial in range(_trials(study, target))]
            groups.append(Group(profile, steps))
    return groups


def _asked(study, endpoint, name, mark):
    text = study.text(DOCUMENT_TOKENS, endpoint, f"lifetime {name}")
    asked = about(text, "What is this about?")
    return [asked[0], Message("user", asked[1].text, mark)]


def _after(study, name, mark, pause, from_sending):
    """A lifetime that is known counts from the sending of its request."""
    def work(endpoint):
        asked = _asked(study, endpoint, name, mark)
        begin = time.monotonic()
        known(endpoint.ask(asked))
        endpoint.pause(pause, begin if from_sending else None)
        return known(endpoint.ask(asked)).hit()
    return work


def _refreshed(study, name, mark, lifetime):
    def work(endpoint):
        asked, found = _asked(study, endpoint, name, mark), []
        begin = time.monotonic()
        known(endpoint.ask(asked))
        for fraction in [REFRESH_FRACTION] * REFRESHES + [END_FRACTION]:
            endpoint.pause(fraction * lifetime, begin)
            begin = time.monotonic()
            found.append(known(endpoint.ask(asked)).hit())
        return found
    return work


# -- The report ----------------------------------------------------------------------------------

def survival(study, target, mode):
    """[(pause in seconds, share of trials that hit, trials)], growing."""
    by_pause = {}
    for key, hit in study.results.all(f"lifetime/{target}/{mode}/").items():
        by_pause.setdefault(float(key.split("/")[3]), []).append(hit)
    return [(pause, sum(hits) / len(hits), len(hits)) for pause, hits in sorted(by_pause.items())]


def _lived(points):
    """(longest pause with hits only, shortest with misses only)"""
    return (max((p for p, share, _ in points if share == 1), default=None),
            min((p for p, share, _ in points if share == 0), default=None))


def words(pause):
    if pause is None:
        return numbers.NONE
    for unit, size in (("h", 3600), ("min", 60)):
        if pause >= size:
            return f"{pause / size:.4g} {unit}"
    return f"{pause:.3g} s"


def _refresh_cell(study, target, mode):
    runs = list(study.results.all(f"refresh/{target}/{mode}/").values())
    if not runs:
        return numbers.NONE, numbers.NONE
    kept, ended = sum(sum(run[:-1]) for run in runs), sum(not run[-1] for run in runs)
    return numbers.count(kept, len(runs) * REFRESHES), numbers.count(ended, len(runs))


def summary(study, target):
    parts = []
    for mode in _kinds(study, target):
        lived, gone = _lived(survival(study, target, mode))
        if lived is not None:
            parts.append(f"{mode}: hit after {words(lived)}" +
                         (f", gone after {words(gone)}" if gone else ""))
    return "; ".join(parts) or numbers.NONE


def report(study):
    lines = [
        f"A new prompt, a pause, the same prompt: still there? *Refreshed*: asked for {REFRESHES} "
        f"times, each {REFRESH_FRACTION:g} of its lifetime after the last, so that it grows far "
        f"older than its lifetime, and then after {END_FRACTION:g} of it. Where the server has a "
        "clock that a test can move, pauses are simulated; elsewhere they are real and short. Our "
        "server was started with a retention of one second for the marked ones, so that nothing "
        "but the marker keeps them.", ""]
    rows = []
    for target in study.targets:
        how = "moved clock" if study.targets[target].has_clock else "real pauses"
        for mode, (_, _, lifetime) in _kinds(study, target).items():
            points = survival(study, target, mode)
            lived, gone = _lived(points)
            rows.append([target, mode, words(lifetime), how, words(lived), words(gone),
                         *_refresh_cell(study, target, mode)])
    lines += [*table(["", "", "lifetime", "", "every time hit up to", "never hit from",
                      "refreshed: hits", "then gone"], rows, right=range(4, 8)), ""]
    for target in study.targets:
        lines += numbers.notes(_note(study, target))
    return lines


def _note(study, target):
    reason = study.missing(f"lifetime/{target}/") or study.missing(f"refresh/{target}/")
    if reason:
        return f"{target}: {reason}"
    if any(lifetime is None for _, _, lifetime in _kinds(study, target).values()):
        return (f"{target}: it does not say how long entries live and has no clock to move; pauses "
                f"beyond {words(study.sizes.blind_pauses_s[-1])} were not measured.")
    return ""


def charts_of(study):
    data = {}
    for target in study.targets:
        for mode, (_, _, lifetime) in _kinds(study, target).items():
            points = survival(study, target, mode)
            if points and lifetime:
                data[f"{target}, {mode} ({words(lifetime)})" if mode == "automatic" else
                     f"{target}, {mode}"] = [(p / lifetime, share) for p, share, _ in points]
    return {"lifetime": charts.lifetimes(data)} if data else {}
