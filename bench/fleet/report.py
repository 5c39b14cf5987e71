#!/usr/bin/env python3
"""How fleets of 4, 16 and 64 replicas serve recorded traces, simulated: where `reprise route` sends
requests beside other ways to do it, orders of eviction, and what a decision takes.

usage: bench/fleet/report.py [--traces FOLDER] [--build FOLDER] [--write FILE]

Builds what it runs (reprise, fleet_eviction, fleet_decide) and writes docs/measurements/fleet.md with
its charts, in two minutes. FOLDER has mooncake/conversation_trace.jsonl, mooncake/synthetic_trace.jsonl
and agentic/ (Mooncake's published traces, and recorded sessions of kv-cache-tester), by default where
bench/corpus.py looks. Needs matplotlib (bench/article/requirements.txt).
"""
import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import corpus
import page
from article import charts

plt = charts.plt
REPLICAS = (4, 16, 64)
POLICIES = ("route", "approximate-tree", "hash", "session", "random", "round-robin")
COLOURS = dict(zip(POLICIES, ("#1f4e79", "#c8742b", "#4f8a4f", "#8a4f7d", "#9a9a9a", "#c4c4c4")))
TRACES = {"Mooncake, conversation": "mooncake/conversation_trace.jsonl",
          "Mooncake, synthetic": "mooncake/synthetic_trace.jsonl",
          "agents' sessions": "agentic"}
SHARES = ("1 %", "5 %", "10 %", "25 %")
LEAST_OF_IDEAL, MOST_IMBALANCE = 0.95, 1.3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--traces", type=pathlib.Path, default=corpus.SHARED)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--write", type=pathlib.Path, default=ROOT / "docs/measurements/fleet.md")
    return parser.parse_args()


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{result.stderr}")
    return result.stdout


def simulate(args, trace, replicas, *options):
    """One row for each policy. Agents' sessions are few: a fleet four times as large gets four times
    as many of them, each with tokens of its own."""
    repeat = max(1, replicas // 4) if trace == "agentic" else 1
    return json.loads(run(args.build / "src/app/reprise", "simulate", "--trace", args.traces / trace,
                          "--replicas", replicas, "--repeat", repeat, "--json", *options))


def percent(rate):
    return f"{100 * rate:.1f} %"


def seconds(value):
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def targets(rows):
    """rows: trace → replicas → policy → result"""
    head = ("trace", "replicas", "hit rate", "of one machine's", "imbalance", "p99 of the first token, s",
            "the next best way's", "all three")
    lines, missed = [], 0
    for trace, fleets in rows.items():
        for replicas, results in fleets.items():
            ours = results["route"]
            other = min((r for name, r in results.items() if name != "route"),
                        key=lambda r: r["first_token_p99"])
            met = (ours["of_ideal"] >= LEAST_OF_IDEAL and ours["imbalance"] <= MOST_IMBALANCE
                   and ours["first_token_p99"] < other["first_token_p99"])
            missed += not met
            lines.append((trace, replicas, percent(ours["hit_rate"]), percent(ours["of_ideal"]),
                          f"{ours['imbalance']:.2f}", seconds(ours["first_token_p99"]),
                          f"{seconds(other['first_token_p99'])} ({other['policy']})",
                          "met" if met else "not met"))
    return page.table(head, lines, right=range(1, 7)), missed


def everything(rows):
    head = ("replicas", "policy", "hit rate", "of one machine's", "computed tokens", "p50, s", "p99, s",
            "imbalance", "least possible", "refused")
    for trace, fleets in rows.items():
        sample = next(iter(fleets.values()))["route"]
        yield f"### {trace}\n"
        yield (f"With endless memory {percent(sample['endless_hit_rate'])} of the prompts' tokens could "
               f"be read.\n")
        lines = []
        for replicas, results in fleets.items():
            for policy, r in results.items():
                lines.append((replicas, f"**{policy}**" if policy == "route" else policy,
                              percent(r["hit_rate"]), percent(r["of_ideal"]),
                              f"{r['computed_tokens']:,}", seconds(r["first_token_p50"]),
                              seconds(r["first_token_p99"]), f"{r['imbalance']:.2f}",
                              f"{r['least_imbalance']:.2f}", r["refused"]))
        yield from page.table(head, lines, right=(0, *range(2, 10)))
        yield ""


def elsewhere(args):
    """Where else the decision was tried, beside the conditions that it was made for."""
    head = ("busy", "memory", "trace", "replicas", "of one machine's", "imbalance", "least possible",
            "p99, s", "refused")
    lines = []
    for utilisation, share in ((0.4, 0.25), (0.75, 0.25), (0.6, 0.125), (0.6, 0.5)):
        for name, trace in TRACES.items():
            for replicas in (16, 64):
                r = simulate(args, trace, replicas, "--utilisation", utilisation, "--memory-share",
                             share)[0]
                lines.append((utilisation, f"{100 * share:g} %", name, replicas,
                              percent(r["of_ideal"]), f"{r['imbalance']:.2f}",
                              f"{r['least_imbalance']:.2f}", seconds(r["first_token_p99"]),
                              r["refused"]))
    return page.table(head, lines, right=(0, 1, 3, 4, 5, 6, 7, 8))


def other_seeds(args):
    """Agents' sessions begin at random: how much hangs on when."""
    head = ("seed", "replicas", "hit rate", "of one machine's", "imbalance", "p99, s",
            "approximate-tree's: hit rate", "imbalance", "p99, s")
    lines = []
    for seed in range(2, 6):
        for replicas in REPLICAS:
            ours, tree = simulate(args, "agentic", replicas, "--seed", seed, "--policy",
                                  "route,approximate-tree")
            lines.append((seed, replicas, percent(ours["hit_rate"]), percent(ours["of_ideal"]),
                          f"{ours['imbalance']:.2f}", seconds(ours["first_token_p99"]),
                          percent(tree["hit_rate"]), f"{tree['imbalance']:.2f}",
                          seconds(tree["first_token_p99"])))
    return page.table(head, lines, right=range(9))


def grid(rows, value, label, log=False, line=None):
    """A panel for each trace; groups of bars for each size of fleet."""
    figure, panels = plt.subplots(1, len(rows), figsize=(10.4, 3.6), sharey=log or line is not None)
    width = 0.8 / len(POLICIES)
    for axes, (trace, fleets) in zip(panels, rows.items()):
        for i, policy in enumerate(POLICIES):
            xs = [j + (i - (len(POLICIES) - 1) / 2) * width for j in range(len(fleets))]
            axes.bar(xs, [value(results[policy]) for results in fleets.values()], width * 0.92,
                     color=COLOURS[policy], label=policy)
        axes.set_xticks(range(len(fleets)), [f"{n}" for n in fleets])
        axes.set_xlabel("replicas")
        axes.set_title(trace, fontsize=10)
        axes.grid(axis="x", visible=False)
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}" if y >= 1 else f"{y:g}")
        if line is not None:
            axes.axhline(line, color="#444444", lw=1, ls=":")
    panels[0].set_ylabel(label)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(POLICIES), loc="lower center", bbox_to_anchor=(0.5, 0.97),
                  fontsize=9)
    figure.tight_layout()
    return figure


def eviction_chart(studies):
    figure, panels = plt.subplots(1, len(studies), figsize=(10.4, 3.4), sharey=True)
    for axes, (trace, rates) in zip(panels, studies.items()):
        for i, (order, values) in enumerate(item for item in rates.items() if item[0] != "lru"):
            axes.plot(SHARES, [100 * (a - b) for a, b in zip(values, rates["lru"])],
                      "o-" if order.startswith("faster") else "s--", markersize=4, label=order,
                      color=charts.COLOURS[i % 3] if order.startswith("faster")
                      else ("#8a4f7d", "#6b6b6b", "#b09040")[i % 3])
        axes.axhline(0, color="#444444", lw=1)
        axes.set_xlabel("memory, of the footprint")
        axes.set_title(trace, fontsize=10)
    panels[0].set_ylabel("hit rate beside lru, points")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), loc="lower center", bbox_to_anchor=(0.5, 0.97),
                  fontsize=9)
    figure.tight_layout()
    return figure


def eviction(studies):
    head = ("trace", "order", *SHARES)
    lines = []
    for trace, rates in studies.items():
        for order, values in rates.items():
            cells = [percent(v) if order == "lru" else f"{100 * (v - base):+.1f}"
                     for v, base in zip(values, rates["lru"])]
            lines.append((trace, order, *cells))
    return page.table(head, lines, right=range(2, 6))


def verdict(studies):
    """What the most is that each order gains and loses anywhere."""
    said = []
    for order in next(iter(studies.values())):
        if order == "lru":
            continue
        changes = [100 * (v - base) for rates in studies.values()
                   for v, base in zip(rates[order], rates["lru"])]
        said.append(f"*{order}* {max(changes):+.1f} to {min(changes):+.1f}")
        if min(changes) >= 0:
            said[-1] += " (never below)"
    return f"At best and at worst, in points: {'; '.join(said)}."


def parts(args):
    """What each part of the decision does: without it, then with it."""
    head = ("the decision", "trace", "replicas", "of one machine's", "imbalance", "p99, s")
    lines = []
    for name, options in (("time to the first token alone", ("--again", 0, "--place", 0, "--most-share", 1e9)),
                          ("and work done again", ("--place", 0, "--most-share", 1e9)),
                          ("and the place of what is new", ("--most-share", 1e9)),
                          ("and no credit above 1.2: all of it", ()),
                          ("all of it, but 1.3", ("--most-share", 1.3)),
                          ("all of it, but again 4", ("--again", 4)),
                          ("all of it, but again 32", ("--again", 32))):
        for trace, file in TRACES.items():
            for replicas in (16, 64):
                r = simulate(args, file, replicas, *options)[0]
                lines.append((name, trace, replicas, percent(r["of_ideal"]), f"{r['imbalance']:.2f}",
                              seconds(r["first_token_p99"])))
    return page.table(head, lines, right=range(2, 6))


def main():
    args = arguments()
    run("ninja", "-C", args.build, "reprise", "fleet_eviction", "fleet_decide")
    rows, studies = {}, {}
    for name, trace in TRACES.items():
        rows[name] = {n: {r["policy"]: r for r in simulate(args, trace, n, "--policy", "all")}
                      for n in REPLICAS}
        studies[name] = json.loads(run(args.build / "bench/fleet/fleet_eviction",
                                       args.traces / trace))["rates"]
        print(f"{name}: simulated", flush=True)
    folder = args.write.with_suffix("")
    charts.save({
        "hit-rate": grid(rows, lambda r: 100 * r["of_ideal"], "hit rate, % of one machine's",
                         line=100 * LEAST_OF_IDEAL),
        "first-token": grid(rows, lambda r: r["first_token_p99"], "p99 of the first token, s", log=True),
        "imbalance": grid(rows, lambda r: r["imbalance"], "most busy ÷ mean", line=MOST_IMBALANCE),
        "eviction": eviction_chart(studies)}, folder)
    wanted, missed = targets(rows)
    fleets = len(TRACES) * len(REPLICAS)
    name = folder.name
    args.write.write_text("\n".join((
        "# Fleets, simulated", "",
        "Written by `bench/fleet/report.py`. Everything but what a decision takes is simulated, and comes out the",
        "same on every machine.", "",
        f"{page.machine()}", "",
        "`reprise simulate` plays a recorded trace through replicas with the server's own prefix cache; `route` is",
        "the router's own decision ([design/fleet.md](../design/fleet.md)). All replicas together keep 25 % of the",
        "trace's different tokens, and the trace's times are stretched so that they would be busy for 60 % of them",
        "if they read what one machine reads. A replica computes 5,000 prompt tokens a second; where a prompt has",
        "30,000 tokens, half as fast. *One machine* is the same cache with all the memory, the same requests in the",
        "same order, each done before the next one comes. *Imbalance* is the most busy seconds of a replica by their",
        "mean; *least possible* is what the longest request alone makes it. Agents' sessions are played once for",
        "every four replicas, each time with tokens of their own; when they begin is not recorded and drawn at",
        "random (seed 1); the next request of a session comes a pause after the reply, so that what is slow gets its",
        "requests in another order, and *one machine* is judged in each run's own. *Refused* are prompts that are longer than a replica's memory.", "",
        "## What was wanted", "",
        f"At least {percent(LEAST_OF_IDEAL)} of one machine's hit rate, imbalance at most {MOST_IMBALANCE}, and the",
        f"least p99 of all ways: met in {fleets - missed} of {fleets} fleets.", "",
        *wanted, "",
        f"![Hit rate by policy]({name}/hit-rate.png)", "",
        f"![First token by policy]({name}/first-token.png)", "",
        f"![Imbalance by policy]({name}/imbalance.png)", "",
        "## All ways", "", *everything(rows),
        "`approximate-tree` is what SGLang's router does by its documentation, with its default thresholds;",
        "`session` keeps a session where its first request went, in turns; `hash` goes by a prompt's first 2,048",
        "tokens. Mooncake's traces know no sessions: a request is taken to go on with the one whose last whole",
        "block it contains.", "",
        "## Under other conditions", "",
        "The weights were chosen under the conditions above; here is what they do elsewhere. Where memory is short",
        "and time too, agents' sessions push one another out, and what waits finds less than it was sent for.", "",
        *elsewhere(args), "",
        "Where a replica's memory is one of Mooncake's long synthetic prompts or two (64 replicas), the imbalance is",
        "a matter of luck, and the longest prompts are refused; *least possible* is what the longest alone makes it.", "",
        "## What each part of the decision does", "",
        "At the conditions above ([design/fleet.md](../design/fleet.md) says why each is there):", "",
        *parts(args), "",
        "## Other beginnings", "",
        "Agents' sessions that begin at other times (other seeds). Where too many run at once for all memory, they",
        "push one another out and do not recover, on one machine with all the memory too.", "",
        *other_seeds(args), "",
        "## Eviction", "",
        "Whether blocks that were used once should go before those used again (`bench/fleet/eviction.cc`): *faster*:",
        "they age so many times as fast; *segments*: they have that part of the room to themselves. Points of hit",
        "rate beside the least recently used (*lru*).", "", verdict(studies), "",
        *eviction(studies), "",
        f"![Orders of eviction]({name}/eviction.png)", "",
        "## What a decision takes", "",
        "`bench/fleet/decide.cc`, processor time on the machine named above:", "",
        "```", run(args.build / "bench/fleet/fleet_decide").strip(), "```", "")))
    print(f"{args.write}: the targets are met in {fleets - missed} of {fleets} fleets")


if __name__ == "__main__":
    main()
