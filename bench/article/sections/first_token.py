"""Time to the first token against the prompt's length, cold and cached."""
import random

from article import charts, numbers
from article.endpoint import Trouble
from article.sections import about
from article.study import Group, Step
from page import table

TITLE = "1. Time to first token"
SENTENCE = "Long prompts start up to 85 % sooner."
LONG = 4000  # tokens: the cut is judged from here on
TEMPLATE_TOKENS = 20  # and the question's


def plan(study):
    """All lengths, runs and servers in one random order, so that nothing slow meets only one of
    them."""
    steps = [Step(f"first/{target}/{length}/{run}", target, 2, _pair(study, length, run))
             for target in study.targets for length in study.sizes.lengths
             for run in range(study.sizes.runs)]
    random.Random(study.nonce).shuffle(steps)
    return [Group("plain", steps)]


def _pair(study, length, run):
    def work(endpoint):
        text = study.text(length - TEMPLATE_TOKENS, endpoint, f"first {length} {run}")
        cold = endpoint.ask(about(text, "What is this about?"))
        if cold.read and cold.prompt and cold.hit():
            raise Trouble("a prompt that had to be new was found in its cache")
        warm = endpoint.ask(about(text, "Which rule matters most?"))
        return {"prompt": cold.prompt, "cold": cold.first, "warm": warm.first,
                "read": warm.read}
    return work


def figures(study, target):
    """length → list of runs, for lengths that have any."""
    found = {}
    for length in study.sizes.lengths:
        runs = list(study.results.all(f"first/{target}/{length}/").values())
        if runs:
            found[length] = runs
    return found


def cuts(runs):
    return [1 - run["warm"] / run["cold"] for run in runs if run["cold"]]


def tokens(length, runs):
    """What the prompts really had; what was aimed at if the server does not say."""
    return numbers.median(run["prompt"] for run in runs) or length


def long_cut(study, target):
    return numbers.median(cut for length, runs in figures(study, target).items() if length >= LONG
                          for cut in cuts(runs))


def summary(study, target):
    cut = long_cut(study, target)
    if cut is not None:
        return f"{100 * cut:.1f} % sooner from {LONG:,} tokens on"
    longest = max(figures(study, target).items(), default=None)
    if longest:
        return f"{100 * numbers.median(cuts(longest[1])):.1f} % sooner at {longest[0]:,} tokens"
    return numbers.NONE


def report(study):
    lines = ["Each prompt is new text; then another question about the same text. "
             f"{study.sizes.runs} runs of each length, all lengths and servers in one random "
             "order. Medians; in brackets the middle half of the runs.", ""]
    for target in study.targets:
        rows = []
        for length, runs in figures(study, target).items():
            reads = [run["read"] for run in runs]
            rows.append([
                f"{tokens(length, runs):,.0f}", len(runs),
                numbers.milliseconds(run["cold"] for run in runs),
                numbers.milliseconds(run["warm"] for run in runs),
                numbers.percent(numbers.median(cuts(runs)), 1),
                numbers.percent(numbers.share(reads, [run["prompt"] for run in runs]), 1)])
        lines += [f"**{target}**", ""]
        if rows:
            columns = ["prompt tokens", "runs", "cold, ms", "cached, ms", "cut", "read"]
            lines += [*table(columns, rows, right=range(6)), ""]
        lines += numbers.notes(study.missing(f"first/{target}/"))
    return lines


def charts_of(study):
    data = {t: [(tokens(length, runs), runs) for length, runs in figures(study, t).items()]
            for t in study.targets if figures(study, t)}
    return {"first-token": charts.first_token(data), "cut": charts.cut(data, cuts)} if data else {}
