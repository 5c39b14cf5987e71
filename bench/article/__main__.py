"""What prompt caching buys, measured.

usage: ./run bench [--quick] [--peers] [--resume] [--endpoint NAME=URL,KEY,MODEL]… [options]

Starts Reprise, and llama-server where bench/peers/setup.sh has made it (--peers makes it), asks
them and every --endpoint, and writes docs/measurements/article.md with charts and raw figures.
--quick measures the same in about two minutes into build/bench/article-quick. Each figure is kept
in build/bench/article.jsonl (or beside --output) at once; after an interruption --resume goes on
with what is missing.
"""
import argparse
import os
import pathlib
import shlex
import sys

import page
import programs
from article import report, sizes
from article.study import Study
from article.targets import LlamaServer, OurServer, Remote
from corpus import Corpus
from results import Results

ROOT = programs.ROOT
WORK = ROOT / "build/bench"
PEERS_MODEL = programs.PEERS / "models" / programs.MODEL.name.replace("Q4_1", "Q4_0")


def arguments():
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true",
                        help="fewer and shorter prompts: two minutes")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--endpoint", action="append", default=[], metavar="NAME=URL,KEY,MODEL",
                        help="measure another server too; URL as OpenAI's client wants it, or "
                             "anthropic+URL; KEY may be env:VARIABLE")
    parser.add_argument("--peers", action="store_true", help="make llama-server first (minutes)")
    parser.add_argument("--only-endpoints", action="store_true", help="start no server")
    parser.add_argument("--without-peers", action="store_true", help="do not start llama-server")
    parser.add_argument("--model", type=pathlib.Path,
                        help="GGUF file for the servers started here; default: the default model "
                             "as Q4_0, llama-server's fastest format, if bench/peers/setup.sh has "
                             "made it")
    parser.add_argument("--only", choices=[report.name_of(section) for section in report.MEASURED[1:]],
                        help="measure and report one chapter")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--timeout", type=float,
                        help="seconds for one request; default 300, quick 60")
    parser.add_argument("--budget", type=float, help="minutes of asking for each --endpoint, then "
                                                     "it is given up; default 60, quick 3")
    parser.add_argument("--output", type=pathlib.Path, help="the page to write")
    options = parser.parse_args()
    options.timeout = options.timeout or (60 if options.quick else 300)
    options.budget = options.budget or (3 if options.quick else 60)
    name = "article-quick" if options.quick else f"article-{options.only}" if options.only else "article"
    page_of_run = ROOT / "docs/measurements/article.md" if name == "article" else \
        WORK / f"{name}/article.md"
    options.results = options.output.with_suffix(".jsonl") if options.output else \
        WORK / f"{name}.jsonl"
    options.output = options.output or page_of_run
    return options


def targets_of(options):
    found = {}
    if not options.only_endpoints:
        both = programs.LLAMA.exists() and not options.without_peers
        model = options.model or (PEERS_MODEL if both and PEERS_MODEL.exists() else programs.MODEL)
        started = [OurServer(model, options.threads, options.timeout)]
        if both:
            started.append(LlamaServer(model, options.threads, options.timeout))
        found = {target.name: target for target in started}
    for text in options.endpoint:
        target = Remote(text, options.timeout, 60 * options.budget)
        if target.name in found:
            raise ValueError(f"--endpoint: there are two called {target.name}")
        found[target.name] = target
    if not found:
        raise ValueError("--only-endpoints needs an --endpoint")
    return found


def command_line():
    """For the report; without keys."""
    shown, hide = [], False
    for word in sys.argv[1:]:
        if hide or word.startswith("--endpoint="):
            url, _, model = word.partition(",")[0], *word.rpartition(",")[1:]
            word = f"{url},…,{model}"
        hide = word == "--endpoint"
        shown.append(shlex.quote(word))
    return " ".join(["./run bench", *shown])


def main():
    options = arguments()
    programs.stop_on_signals()
    try:
        targets = targets_of(options)
    except ValueError as error:
        sys.exit(f"./run bench: {error}")
    asked = {"quick": options.quick, "only": options.only, "targets": {n: t.described() for n, t in targets.items()}}
    results = Results(options.results, {"options": asked, "machine": page.machine()},
                      options.resume)
    if results.resumed_in_vain:
        print("the unfinished run was of other servers or sizes: this is a new one",
              file=sys.stderr)
    study = Study(targets, sizes.QUICK if options.quick else sizes.FULL, Corpus(), results)
    try:
        study.run(report.measured(options.only))
    except KeyboardInterrupt:
        sys.exit(f"\n./run bench: stopped; {len(results.values)} figures are kept, "
                 "--resume goes on")
    report.write(study, options.output, command_line(), options.only)
    print(f"{len(results.values)} figures, {len(results.failures)} missing; written to "
          f"{options.output}")


if __name__ == "__main__":
    main()
