"""What the workloads cost by price list, and what they cost our own server in seconds."""
from article import charts, numbers, prices, workloads
from article.sections import first_token
from article.sections.workloads import column, requests
from page import table

TITLE = "5. Cost"
SENTENCE = "Cached tokens cost a tenth."

HALF = 0.5  # of the tokens that could be read: the article's figure for automatic caching


def plan(_):
    return []


def counted(study):
    """The target whose token counts are priced: the first whose workloads were counted."""
    for target in study.targets:
        costs = [_costs(study, target, name, prices.usual_rule()) for name in workloads.SCRIPTS]
        if any(automatic is not None for _, automatic, _, _ in costs):
            return target
    return None


def _costs(study, target, name, sheet):
    """(without, automatic, automatic at the article's hit rate, explicit)"""
    plain, marked = (requests(study, target, name, mode) for mode in ("automatic", "explicit"))
    return (prices.without(plain, sheet), prices.automatic(plain, sheet),
            prices.automatic(plain, sheet, HALF), prices.explicit(marked, sheet))


def summary(study, target):
    usual, cut = prices.usual_rule(), first_token.long_cut(study, target)
    said = f"by the usual list price {usual['read'] / usual['input']:g} of a computed one"
    return said if cut is None else f"{said}; in time on this machine {1 - cut:.3f}"


def report(study):
    target = counted(study)
    lines = ["Price lists are data in `bench/article/prices.toml`, each sheet dated. Prompts "
             "only: the replies cost the same with and without a cache.", ""]
    lines += _sheet_table() + _relative_table(study, target) + _dollar_table(study, target)
    return lines + _measured_table(study)


def _sheet_table():
    rows = []
    for sheet in prices.sheets():
        listed = (sheet["input"], prices.write_price(sheet), prices.write_price(sheet, "1h"),
                  sheet["read"], sheet.get("output"))
        rows.append([sheet["name"], sheet["date"],
                     *(numbers.NONE if price is None else f"{price:g}" for price in listed),
                     f"{sheet['read'] / sheet['input']:.3g}",
                     *(prices.break_even(sheet, kept) or numbers.NONE for kept in ("5m", "1h"))])
    return ["**Price lists**, dollars per million tokens; a mark pays from the given use on, the "
            "first included", "",
            *table(["", "date", "input", "write 5m", "write 1h", "read", "output", "read ÷ input",
                    "pays from use, 5m", "1h"], rows, right=range(2, 10)), ""]


def _relative_table(study, target):
    if target is None:
        return numbers.notes("No server reported what its cache read: workloads cannot be priced.")
    rows = []
    for name in workloads.SCRIPTS:
        full, *rest = _costs(study, target, name, prices.usual_rule())
        if full:
            rows.append([name, *(numbers.percent(numbers.ratio(cost, full)) for cost in rest)])
    return [f"**Prompts' cost in per cent of no caching**, by {prices.usual_rule()['name']}, on "
            f"the tokens that {target} counted. *At half*: if automatic caching finds only half of "
            "it, as the article saw.", "",
            *table(["", "automatic", "automatic at half", "explicit, 5m"], rows,
                   right=range(1, 4)), ""]


def _dollar_table(study, target):
    if target is None:
        return []
    names = list(workloads.SCRIPTS)
    rows = []
    for sheet in prices.sheets():
        if sheet.get("rule"):
            continue
        cells = []
        for name in names:
            each = len(requests(study, target, name, "automatic"))
            costs = _costs(study, target, name, sheet)
            cells.append(" / ".join(numbers.dollars(cost and 1000 * cost / each)
                                    for cost in (costs[0], costs[1], costs[3])))
        rows.append([sheet["name"], *cells])
    return ["**Dollars for the prompts of 1,000 such requests**: no caching / automatic / "
            "explicit (5m)", "",
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
    return ["**What the servers on this machine save**, a request, medians: time to the first "
            "token, and CPU seconds of the whole request, its reply included", "",
            *table(["", "", "no cache, ms", "cached, ms", "saved, s", "CPU s no cache", "cached",
                    "saved"], rows, right=range(2, 8)), ""]


def charts_of(study):
    target = counted(study)
    if target is None:
        return {}
    data = {}
    for name in workloads.SCRIPTS:
        full, *rest = _costs(study, target, name, prices.usual_rule())
        if full:
            data[name] = [numbers.ratio(cost, full) for cost in rest]
    return {"cost": charts.costs(data)} if data else {}
