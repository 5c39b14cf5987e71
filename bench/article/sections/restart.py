"""Whether what was read survives a restart: another question about a document, asked of a new process.

Ours keeps it in a folder by itself. llama-server saves and restores a slot when it is asked to, once
for each conversation; the study asks (targets.py), since without that nothing is left.
"""
from article import numbers
from article.sections import about
from article.study import Group, Step
from page import table

TITLE = "8. A restart"
SENTENCE = "(Not in the article.) What was read survives a restart of the server."


def _targets(study):
    return [name for name, target in study.targets.items() if target.can_restart]


def plan(study):
    """A group is one life of the servers."""
    groups = []
    for trial in range(study.sizes.restarts):
        for life, question in (("first", "What is this about?"), ("second", "Which rule matters most?")):
            groups.append(Group(f"{life} life", [
                Step(f"restart/{target}/{trial}/{life}", target, 1, _asked(study, trial, question))
                for target in _targets(study)]))
    return groups


def _asked(study, trial, question):
    def work(endpoint):
        text = study.text(study.sizes.restart_tokens, endpoint, f"restart {trial}")
        reply = endpoint.ask(about(text, question))
        return {"prompt": reply.prompt, "first": reply.first, "read": reply.read}
    return work


def pairs(study, target):
    """Of each trial, the question before the restart and the one after it."""
    found = study.results.all(f"restart/{target}/")
    return [(found[f"restart/{target}/{trial}/first"], found[f"restart/{target}/{trial}/second"])
            for trial in range(study.sizes.restarts)
            if {f"restart/{target}/{trial}/{life}" for life in ("first", "second")} <= found.keys()]


def _left(runs):
    """Of the time to the first token."""
    return numbers.median(after["first"] / before["first"] for before, after in runs if before["first"])


def _read(runs):
    return numbers.share([after["read"] for _, after in runs], [after["prompt"] for _, after in runs])


def summary(study, target):
    runs = pairs(study, target)
    if not runs:
        return numbers.NONE
    by_hand = "" if study.targets[target].keeps_by_itself else ", where its client saves and restores the slot"
    return (f"{numbers.percent(_read(runs), 1)} read, first token {numbers.percent(_left(runs), 1)} "
            f"of cold{by_hand}")


def report(study):
    lines = ["A new document and a question about it; the server is told to stop and started again; another "
             "question about the same document is the first thing that it is asked. Medians; in brackets the "
             "middle half of the runs.", ""]
    rows = []
    for target in _targets(study):
        runs = pairs(study, target)
        if runs:
            how = "--disk" if study.targets[target].keeps_by_itself else "slot file, saved and restored on request"
            rows.append([target, how, f"{numbers.median(before['prompt'] for before, _ in runs) or 0:,.0f}", len(runs),
                         numbers.milliseconds(before["first"] for before, _ in runs),
                         numbers.milliseconds(after["first"] for _, after in runs),
                         numbers.percent(_left(runs), 1), numbers.percent(_read(runs), 1)])
    if rows:
        columns = ["", "kept by", "prompt tokens", "runs", "cold, ms", "after the restart, ms", "of cold", "read"]
        lines += [*table(columns, rows, right=range(2, 8)), ""]
    for target in _targets(study):
        lines += numbers.notes(study.missing(f"restart/{target}/"))
    if len(_targets(study)) < len(study.targets):
        lines += ["Servers that were not started here cannot be restarted.", ""]
    return lines


def charts_of(_study):
    return {}
