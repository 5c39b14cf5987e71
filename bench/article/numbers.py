"""Figures for people. What is missing is None and shown as "–": nothing is invented or divided by
0."""
import math
import statistics

NONE = "–"


def _known(values):
    return sorted(v for v in values if v is not None)


def median(values):
    values = _known(values)
    return statistics.median(values) if values else None


def quantile(values, q):
    """Of the sorted values, by the nearest rank; None of none."""
    values = _known(values)
    return values[max(0, math.ceil(q * len(values)) - 1)] if values else None


def middle(values):
    """First and third quartile; (None, None) of none."""
    return quantile(values, 0.25), quantile(values, 0.75)


def share(parts, wholes):
    """Sum over sum; None if either is unknown or there is nothing."""
    pairs = [(p, w) for p, w in zip(parts, wholes) if p is not None and w]
    return sum(p for p, _ in pairs) / sum(w for _, w in pairs) if pairs else None


def ratio(part, whole):
    return part / whole if part is not None and whole else None


def percent(value, digits=0):
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def ms(seconds):
    return NONE if seconds is None else f"{1e3 * seconds:,.0f}" if seconds >= 0.01 else \
        f"{1e3 * seconds:.1f}"


def milliseconds(values):
    """Median and the middle half."""
    values = _known(values)
    if not values:
        return NONE
    low, high = middle(values)
    return f"{ms(median(values))} ({ms(low)}–{ms(high)})" if len(values) > 2 else ms(median(values))


def count(part, whole):
    return f"{part} of {whole}" if whole else NONE


def dollars(value):
    return NONE if value is None else f"{value:,.2f}" if value >= 0.1 else f"{value:.4f}"


def notes(reason):
    """A line that says why figures are missing; nothing if none are."""
    return [f"– {reason}", ""] if reason else []
