"""Writes the report: one page of Markdown, its charts, and the raw figures beside it."""
import json

from article import charts, numbers
from article.sections import (cost, first_token, hit_rate, lifetime, not_shared, offers, parameters,
                              restart, workloads)
from page import table

MEASURED = (offers, first_token, hit_rate, parameters, lifetime, workloads, not_shared, restart)
CHAPTERS = (first_token, hit_rate, parameters, lifetime, cost, workloads, not_shared, restart)

CAPTIONS = {
    "first-token": "Time to the first token; the band is the middle half of the runs",
    "cut": "The cut in time to the first token",
    "hit-rate": "Hit rates of automatic caching and of explicit breakpoints",
    "lifetime": "Hits after growing pauses",
    "cost": "Cost of the prompts by list price",
    "workloads": "Time to the first token, by workload",
}


def name_of(section):
    return section.__name__.rpartition(".")[2]


def measured(only=None):
    """The sections to measure: all, or what one chapter needs."""
    return [section for section in MEASURED if only is None or section is offers or name_of(section) == only]


def write(study, path, command, only=None):
    """`path`: the page; charts go into the folder of its name, raw figures into its name.json."""
    folder = path.with_suffix("")
    chapters = [section for section in CHAPTERS if only is None or name_of(section) == only]
    lines = _head(study, command, chapters)
    for section in chapters:
        lines += [f"## {section.TITLE}", "", f"> {section.SENTENCE}", ""]
        drawn = section.charts_of(study)
        charts.save(drawn, folder)
        for name in drawn:
            lines += [f"![{CAPTIONS[name]}]({folder.name}/{name}.png)", ""]
        lines += section.report(study)
    while lines and not lines[-1]:
        lines.pop()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    raw = {"head": study.results.head, "figures": study.results.values,
           "missing": study.results.failures}
    path.with_suffix(".json").write_text(json.dumps(raw, indent=0, sort_keys=True) + "\n")


def _head(study, command, chapters):
    lines = ["# What prompt caching buys", "",
             "A well-known article on prompt caching makes seven statements. Each is measured "
             f"here, and an eighth that its readers ask for. Written by `{command}`; the raw figures are in the JSON file beside this "
             "page, the charts also as SVG.", "", study.results.head["machine"], "",
             f"Measuring took {study.results.seconds / 60:.0f} minutes. {study.corpus.described()} "
            "Every new prompt begins with a line of its own. Servers are asked over HTTP through "
            "the official clients.", ""]
    lines += [f"- **{name}**: {target.described()}{_offered(study, name)}"
              for name, target in study.targets.items()]
    rows = [[section.SENTENCE, *(section.summary(study, target) for target in study.targets)]
            for section in chapters]
    lines += ["", *table(["the article", *study.targets], rows), ""]
    return lines


def _offered(study, target):
    found = study.offers(target)
    if not found:
        return f". Not measured: {study.missing(f'offers/{target}')}."
    dialect = {"openai": "OpenAI's", "anthropic": "Anthropic's"}.get(found["marks"])
    said = [
        "counts cached tokens" if found["counts"] else
        "does not count cached tokens" if found["usage"] else "sends no usage",
        "caches by itself" if found["automatic"] else "no automatic caching seen",
        f"takes cache markers in {dialect} dialect" if dialect else "cache markers have no effect"]
    how = f" (`{found['command']}`, and as the sections say)" if "command" in found else ""
    return how + ". It " + ", ".join(said) + "."
