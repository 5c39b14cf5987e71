"""Arithmetic on price lists (prices.toml) and on the token counts that servers reported.

A request's figures are a dict with prompt, read and write, in tokens; None where a server did not
say. Costs are dollars for the prompts of a list of requests, or, by a sheet that is a vendor's
rule, in prices of a million uncached tokens; None where a count or a price is missing.
"""
import pathlib
import tomllib

PRICES = pathlib.Path(__file__).with_name("prices.toml")


def sheets():
    return tomllib.loads(PRICES.read_text())["sheet"]


def rules():
    """How the vendors' caches work, by name; the report has no use for them, the server has."""
    return tomllib.loads(PRICES.read_text())["rules"]


def usual_rule():
    """The proportions that most models of one vendor have: 1, 1.25 or 2, and 0.1."""
    return next(sheet for sheet in sheets() if sheet.get("rule"))


def write_price(sheet, lifetime="5m"):
    prices = sheet.get("write", {})
    return prices.get(lifetime, prices.get("any"))


def break_even(sheet, lifetime):
    """The smallest number of uses, the first included, from which a marked prompt costs less than
    an uncached one: write + (n − 1) · read < n · input. None if marks are not sold, or never
    pay."""
    write, read, full = write_price(sheet, lifetime), sheet["read"], sheet["input"]
    if write is None or read >= full:
        return None
    return int((write - read) / (full - read)) + 1


def _sums(requests, *fields):
    """The sum of each field; None if there are no requests, or one of them does not say."""
    columns = [[request[field] for request in requests] for field in fields]
    if not requests or any(None in column for column in columns):
        return None
    return [sum(column) for column in columns]


def without(requests, sheet):
    sums = _sums(requests, "prompt")
    return sums and sums[0] * sheet["input"] / 1e6


def automatic(requests, sheet, found=1.0):
    """`found`: the part of what was read that a vendor's cache would have found too."""
    sums = _sums(requests, "prompt", "read")
    if sums is None:
        return None
    read = found * sums[1]
    return ((sums[0] - read) * sheet["input"] + read * sheet["read"]) / 1e6


def explicit(requests, sheet, lifetime="5m"):
    sums, price = _sums(requests, "prompt", "read", "write"), write_price(sheet, lifetime)
    if sums is None or price is None:
        return None
    total, read, write = sums
    return ((total - read - write) * sheet["input"] + write * price + read * sheet["read"]) / 1e6
