"""What the workloads cost by price list, and what they cost our own server in seconds."""
import pathlib
import tomllib

from article import charts, numbers, workloads
from article.sections import first_token
from article.sections.workloads import column, requests
from page import table

TITLE = "5. Cost"
SENTENCE = "Cached tokens cost a tenth."

PRICES = pathlib.Path(__file__).parents[1] / "prices.toml"
HALF = 0.5  # of the tokens that could be read: the article's figure for automatic caching


def plan(_):
    return []


def sheets():
    return tomllib.loads(PRICES.read_text())["sheet"]


def rule():
    """The sheet that the report's first table uses: the proportions that most models have."""
    return next(sheet for sheet in sheets() if sheet.get("rule"))


def write_price(sheet, lifetime="5m"):
    prices = sheet.get("write", {})
    return prices.get(lifetime, prices.get("any"))


def break_even(sheet, lifetime):
    """The smallest number of uses, the first included, at which marking costs less than not caching."""
    write, read, full = write_price(sheet, lifetime), sheet["read"], sheet["input"]
    if write is None or read >= full:
        return None
    return int((write - read) / (full - read)) + 1


# Dollars (or, by a rule, prices of an uncached token) for the prompts of a workload. Counts as the
# server reported them; None where it did not.

def without(found, sheet):
    prompts = column(found, "prompt")
    return sum(prompts) * sheet["input"] / 1e6 if found and None not in prompts else None


def automatic(found, sheet, hits=1.0):
    total, read = column(found, "prompt"), column(found, "read")
    if not found or None in total or None in read:
        return None
    return ((sum(total) - hits * sum(read)) * sheet["input"] + hits * sum(read) * sheet["read"]) / 1e6


def explicit(found, sheet):
    total, read, write = (column(found, field) for field in ("prompt", "read", "write"))
    price = write_price(sheet)
    if not found or price is None or None in total or None in read:
        return None
    rest = sum(total) - sum(read) - sum(write)
    return (rest * sheet["input"] + sum(write) * price + sum(read) * sheet["read"]) / 1e6


def counted(study):
    """The target whose token counts are priced: the first whose workloads were counted."""
    for target in study.targets:
        if any(automatic(requests(study, target, name, "automatic"), rule()) is not None
               for name in workloads.SCRIPTS):
            return target
    return None


def _costs(study, target, name, sheet):
    """(without, automatic, automatic at the article's hit rate, explicit)"""
    plain, marked = (requests(study, target, name, mode) for mode in ("automatic", "explicit"))
    return (without(plain, sheet), automatic(plain, sheet), automatic(plain, sheet, HALF),
            explicit(marked, sheet))


def cpu_share(study, target):
    """CPU seconds of a request with a cache ÷ without, over all workloads' requests to their median."""
    cold, warm = [], []
    for name in workloads.SCRIPTS:
        cold.append(numbers.median(column(requests(study, target, name, "no cache"), "cpu")))
        warm.append(numbers.median(column(requests(study, target, name, "automatic"), "cpu")))
    return numbers.share(warm, cold)


def summary(study, target):
    price, share = rule()["read"] / rule()["input"], first_token.long_cut(study, target)
    said = f"by list price a read token costs {price:g} of a computed one"
    return said if share is None else f"{said}; in time, {1 - share:.3f}"


def report(study):
    target = counted(study)
    lines = ["Price lists are data in `bench/article/prices.toml`, each sheet dated. Prompts only: the "
             "replies cost the same with and without a cache.", ""]
    lines += _sheet_table() + _relative_table(study, target) + _dollar_table(study, target)
    return lines + _measured_table(study)


def _sheet_table():
    rows = [[sheet["name"], sheet["date"], *(f"{value:g}" if value is not None else numbers.NONE for value in (
                sheet["input"], write_price(sheet), write_price(sheet, "1h"), sheet["read"],
                sheet.get("output"))),
             f"{sheet['read'] / sheet['input']:.3g}",
             *(break_even(sheet, lifetime) or numbers.NONE for lifetime in ("5m", "1h"))]
            for sheet in sheets()]
    return ["**Price lists**, dollars per million tokens; a mark pays from the given use on, the first "
            "included", "",
            *table(["", "date", "input", "write 5m", "write 1h", "read", "output", "read ÷ input",
                    "pays from use, 5m", "1h"], rows, right=range(2, 10)), ""]


def _relative_table(study, target):
    if target is None:
        return numbers.notes("No server reported what its cache read: workloads cannot be priced.")
    rows = []
    for name in workloads.SCRIPTS:
        full, *rest = _costs(study, target, name, rule())
        if full:
            rows.append([name, *(numbers.percent(numbers.ratio(cost, full)) for cost in rest)])
    return [f"**Prompts' cost in per cent of no caching**, by {rule()['name']}, on the tokens that {target} "
            "counted. *At half*: if automatic caching finds only half of it, as the article saw.", "",
            *table(["", "automatic", "automatic at half", "explicit, 5m"], rows, right=range(1, 4)), ""]


def _dollar_table(study, target):
    if target is None:
        return []
    names = list(workloads.SCRIPTS)
    rows = []
    for sheet in sheets():
        if sheet.get("rule"):
            continue
        cells = []
        for name in names:
            each = len(requests(study, target, name, "automatic"))
            costs = _costs(study, target, name, sheet)
            cells.append(" / ".join(numbers.dollars(cost and 1000 * cost / each)
                                    for cost in (costs[0], costs[1], costs[3])))
        rows.append([sheet["name"], *cells])
    return ["**Dollars for the prompts of 1,000 such requests**: no caching / automatic / explicit (5m)", "",
            *table(["", *names], rows, right=range(1, 1 + len(names))), ""]


def _measured_table(study):
    rows = []
    for target in study.targets:
        for name in workloads.SCRIPTS:
            cold, warm = (requests(study, target, name, mode) for mode in ("no cache", "automatic"))
            times = [numbers.median(column(found, "first")) for found in (cold, warm)]
            cpu = [numbers.median(column(found, "cpu")) for found in (cold, warm)]
            if None in times or None in cpu:
                continue
            rows.append([target, name, numbers.ms(times[0]), numbers.ms(times[1]),
                         f"{times[0] - times[1]:.2f}", f"{cpu[0]:.2f}", f"{cpu[1]:.2f}",
                         f"{cpu[0] - cpu[1]:.2f}"])
    if not rows:
        return []
    return ["**What the servers on this machine save**, a request, medians: time to the first token, and "
            "CPU seconds of the whole request, its reply included", "",
            *table(["", "", "no cache, ms", "cached, ms", "saved, s", "CPU s no cache", "cached",
                    "saved"], rows, right=range(2, 8)), ""]


def charts_of(study):
    target = counted(study)
    if target is None:
        return {}
    data = {}
    for name in workloads.SCRIPTS:
        full, *rest = _costs(study, target, name, rule())
        if full:
            data[name] = [numbers.ratio(cost, full) for cost in rest]
    return {"cost": charts.costs(data)} if data else {}
