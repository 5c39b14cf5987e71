"""What an endpoint offers, found by asking: usage, counts of cached tokens, markers."""
import json

from article.endpoint import Trouble
from article.sections import about
from article.study import Group, Step

TITLE = "What the servers offer"

PROBE_TOKENS = 1100  # above the vendors' minimum of 1,024


def probe(study, endpoint):
    text = study.text(PROBE_TOKENS, endpoint, "probe")
    first = endpoint.ask(about(text, "What is this about?"))
    again = endpoint.ask(about(text, "What is this about?"))
    found = {"usage": again.prompt is not None, "counts": again.read is not None,
             "automatic": bool(again.read), "marks": None,
             "dialects": endpoint.dialects, "prompt": first.prompt}
    for dialect in reversed(endpoint.dialects):  # Anthropic's says lifetimes, so it is preferred
        marked = study.text(PROBE_TOKENS, endpoint, f"probe {dialect}")
        try:
            reply = endpoint.ask(about(marked, "What is this about?", "5m"), dialect=dialect)
        except Trouble:
            continue  # it refuses markers in this dialect
        if reply.write:
            found["marks"] = dialect
            break
    if endpoint.pages:
        page = json.loads(endpoint.pages.get("/cache").read())
        found["token_bytes"] = page["block_bytes"] // page["block_tokens"]
    if endpoint.program:
        found["command"] = endpoint.program.command
    return found


def plan(study):
    def work(endpoint):
        return probe(study, endpoint)

    return [Group("plain", [Step(f"offers/{target}", target, 4, work) for target in study.targets])]
