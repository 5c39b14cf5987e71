#!/usr/bin/env python3
"""What it costs to hold replies to a form: decoding under a schema beside free decoding, in one run.

usage: bench/server/forms.py [--repeats 7] [--write docs/tools.md] [--help]

Each round asks in turn, with the same prompt read from the cache: a free reply of 300 tokens; one that is a long
string of a schema; one under a schema most of which is certain. Medians of the rounds. How much of a step the
mask takes is told by a trace of the same requests (serve --trace).
"""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs

TOKENS = 300
PROMPT = [{"role": "user", "content": "Tell me a long story about a lighthouse and the people who live there. " * 8}]
STRING = {"type": "object", "properties": {"story": {"type": "string", "minLength": 4000}}, "required": ["story"]}
CERTAIN = {
    "type": "object",
    "properties": {
        f"the name of the place where number {i} of the story happens": {"type": "integer", "minimum": 0, "maximum": 9}
        for i in range(20)
    },
}
CERTAIN["required"] = list(CERTAIN["properties"])


def ask(url, **body):
    body = {"messages": PROMPT, "temperature": 1, **body}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def form(schema):
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


KINDS = {
    "free": {"max_tokens": TOKENS, "ignore_eos": True},
    "a long string": {"max_tokens": TOKENS, "response_format": form(STRING)},
    "mostly certain": {"max_tokens": 2000, "response_format": form(CERTAIN)},
}


def mask_share(options):
    """Time of masks by that of whole steps, from a trace."""
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.json")
        with programs.start_reprise("forms-trace", options.model, "--trace", trace, binary=options.binary) as server:
            ask(server.url, seed=1, **KINDS["a long string"])
        events = json.loads(trace.read_text())
    events = events["traceEvents"] if isinstance(events, dict) else events
    took = {}
    for event in events:
        took.setdefault(event.get("name"), []).append(event.get("dur", 0))
    return sum(took["mask"]) / sum(took["forward"]), statistics.median(took["mask"]), max(took["mask"])


def measure(options):
    speeds = {kind: [] for kind in KINDS}
    tokens = {}
    with programs.start_reprise("forms", options.model, binary=options.binary) as server:
        for seed in range(options.repeats + 1):
            for kind, body in KINDS.items():
                reply = ask(server.url, seed=seed, **body)
                tokens[kind] = reply["usage"]["completion_tokens"]
                if seed > 0:  # the first computes the prompt
                    speeds[kind].append(reply["timings"]["predicted_per_second"])
    return speeds, tokens


def section(speeds, tokens, mask, options):
    yield f"Written by `bench/server/forms.py --write docs/tools.md`, {options.repeats} rounds, medians."
    yield ""
    yield page.machine()
    yield ""
    rows = []
    for kind, all_of_them in speeds.items():
        ratios = [each / beside for each, beside in zip(all_of_them, speeds["free"])]
        rows.append((kind, tokens[kind], f"{statistics.median(all_of_them):,.0f}",
                     f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"))
    yield from page.table(("reply", "tokens", "tokens/s", "by free decoding", "rounds"), rows, right=range(1, 5))
    yield ""
    share, median_us, most_us = mask
    yield (f"Masks took {100 * share:.1f} % of the forward passes' time on the long string, {median_us:.0f} µs each in the "
           f"median and {most_us:.0f} at most, on a vocabulary of 49,152 tokens.")


def main():
    parser = argparse.ArgumentParser(description="decoding under forms beside free decoding")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--binary", type=pathlib.Path, default=programs.REPRISE)
    parser.add_argument("--model", type=pathlib.Path, default=programs.MODEL)
    parser.add_argument("--write", type=pathlib.Path, help="the page that gets the figures")
    options = parser.parse_args()
    speeds, tokens = measure(options)
    lines = list(section(speeds, tokens, mask_share(options), options))
    print("\n".join(lines))
    if options.write:
        page.replace_block(options.write, "forms", "\n".join(lines))


if __name__ == "__main__":
    main()
