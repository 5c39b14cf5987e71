"""Which parameters of a request cost a hit."""
from article import numbers
from article.endpoint import Message, Refused
from article.sections import about, known
from article.study import Group, Step
from page import table

TITLE = "3. Independence of parameters"
SENTENCE = "Sampling parameters do not matter."

QUESTION = "What is this about?"
OPENAI = {
    "temperature 1.3": {"temperature": 1.3}, "top_p 0.5": {"top_p": 0.5}, "top_k 5": {"top_k": 5},
    "min_p 0.2": {"min_p": 0.2}, "seed 7": {"seed": 7},
    "presence_penalty 1": {"presence_penalty": 1}, "frequency_penalty 1": {"frequency_penalty": 1},
    "logit_bias": {"logit_bias": {"100": 5}}, "stop": {"stop": ["."]},
    "max_tokens 16": {"max_tokens": 16}, "n 2": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "response_format text": {"response_format": {"type": "text"}},
    "user": {"user": "somebody else"},
}
ANTHROPIC = {
    "temperature 0.9": {"temperature": 0.9}, "top_p 0.5": {"top_p": 0.5}, "top_k 5": {"top_k": 5},
    "stop_sequences": {"stop_sequences": ["."]}, "max_tokens 16": {"max_tokens": 16},
    "metadata": {"metadata": {"user_id": "somebody-else"}},
}
WHOLE = "stream off"
CONTROLS = ("nothing changed", "first word changed")  # the measurement itself: a hit and a miss


def plan(study):
    def step(target, run):
        dialects = study.offers(target).get("dialects", ["openai"])
        changes = OPENAI if "openai" in dialects else ANTHROPIC
        return Step(f"parameter/{target}/{run}", target, len(changes) + 4,
                    _work(study, changes, run))

    return [Group("plain", [step(target, run) for target in study.targets
                            for run in range(study.sizes.parameter_runs)])]


def _work(study, changes, run):
    def work(endpoint):
        text = study.text(study.sizes.short_tokens, endpoint, f"parameters {run}")
        asked = about(text, QUESTION)
        known(endpoint.ask(asked))

        def hit(**parameters):
            try:
                return known(endpoint.ask(asked, **parameters)).hit()
            except Refused as refused:
                return str(refused)

        found = {CONTROLS[0]: hit()}
        found.update({name: hit(**change) for name, change in changes.items()})
        found[WHOLE] = hit(stream=False)
        other = [Message("system", "Another " + text), asked[1]]
        found[CONTROLS[1]] = known(endpoint.ask(other)).hit()
        return found
    return work


def _found(study, target):
    """parameter → list of outcomes: True, False, or why it was refused."""
    found = {}
    for run in study.results.all(f"parameter/{target}/").values():
        for name, outcome in run.items():
            found.setdefault(name, []).append(outcome)
    return found


def _judged(study, target):
    """(parameters that cost no hit, parameters that were taken)"""
    taken = {name: [o for o in outcomes if isinstance(o, bool)]
             for name, outcomes in _found(study, target).items() if name not in CONTROLS}
    taken = {name: outcomes for name, outcomes in taken.items() if outcomes}
    return sum(all(outcomes) for outcomes in taken.values()), len(taken)


def summary(study, target):
    kept, taken = _judged(study, target)
    return f"{kept} of {taken} parameters cost no hit" if taken else numbers.NONE


def report(study):
    found = {target: _found(study, target) for target in study.targets}
    names = list(dict.fromkeys(name for outcomes in found.values() for name in outcomes))
    lines = ["One prompt is sent, then again with one parameter changed each time; "
             f"{study.sizes.parameter_runs} new prompts. A hit: nine tenths of the prompt were "
             "read. The first and the last row check the measurement itself: sent unchanged, and "
             "with another first word.", ""]

    def cell(outcomes):
        taken = [o for o in outcomes if isinstance(o, bool)]
        if not taken:
            return "refused" if outcomes else numbers.NONE
        if all(taken) or not any(taken):
            return "hit" if all(taken) else "miss"
        return f"{sum(taken)} of {len(taken)} hit"

    rows = [[name, *(cell(found[target].get(name, [])) for target in study.targets)]
            for name in names]
    if rows:
        lines += [*table(["changed", *study.targets], rows), ""]
    for target, outcomes in found.items():
        refusals = {f"{name}: {outcome}" for name, each in outcomes.items() for outcome in each
                    if isinstance(outcome, str)}
        for reason in [*sorted(refusals), study.missing(f"parameter/{target}/")]:
            lines += numbers.notes(reason and f"{target}: {reason}")
    return lines


def charts_of(study):
    return {}
