"""Writes C++ that holds the price sheets of a TOML file (bench/article/prices.toml says what is in it).

usage: write_sheets.py PRICES OUTPUT

What is misspelt or missing there ends the build with a sentence.
"""
import json
import pathlib
import sys
import tomllib

AUTOMATIC = {"prefix": "kPrefix", "mark": "kMark", "asked mark": "kAskedMark"}
RULES = {"minimum", "automatic", "step", "lifetime", "marks", "lookback", "lifetimes", "renews", "note"}
SHEET = {"name", "date", "vendor", "rules", "minimum", "input", "write", "read", "output", "rule", "note"}


def known(table, keys, where):
    if unknown := set(table) - keys:
        sys.exit(f"write_sheets.py: {where} has {', '.join(sorted(unknown))}, which is none of {sorted(keys)}")


def text(value):
    return json.dumps(value, ensure_ascii=True)


def rules_of(sheet, table, where):
    known(table, RULES, f"rules of {where}")
    prices, lifetimes = sheet.get("write", {}), table.get("lifetimes", {})
    marks = []
    for name, seconds in lifetimes.items():
        price = prices.get(name, prices.get("any"))
        if price is None:
            sys.exit(f"write_sheets.py: {where} has no price of writing for {name}")
        marks.append(f"{{{text(name)}, {seconds}, {price!r}}}")
    automatic = AUTOMATIC.get(table["automatic"])
    if automatic is None or (automatic == "kPrefix") != ("step" in table and "lifetime" in table):
        sys.exit(f"write_sheets.py: {where}: automatic is one of {sorted(AUTOMATIC)}; a prefix has step "
                 "and lifetime")
    if (table.get("marks", 0) > 0) != bool(lifetimes):
        sys.exit(f"write_sheets.py: {where}: marks have lifetimes")
    return (f"{{.minimum = {sheet.get('minimum', table['minimum'])}, "
            f".automatic = AutomaticCaching::{automatic}, .step = {table.get('step', 1)}, "
            f".lifetime_seconds = {table.get('lifetime', 0)}, .marks = {table.get('marks', 0)}, "
            f".lookback = {table.get('lookback', 0)}, .lifetimes = {{{', '.join(marks)}}}, "
            f".renews = {str(table.get('renews', False)).lower()}}}")


def sheet_of(sheet, rules):
    where = sheet["name"]
    known(sheet, SHEET, where)
    table = rules.get(sheet["rules"])
    if table is None:
        sys.exit(f"write_sheets.py: {where} goes by rules {sheet['rules']}, which are not there")
    note = " ".join(said for said in (sheet.get("note"), table.get("note")) if said)
    output = repr(sheet["output"]) if "output" in sheet else "std::nullopt"
    return (f"    {{.name = {text(where)}, .vendor = {text(sheet['vendor'])}, .date = {text(sheet['date'])}, "
            f".is_rule = {str(sheet.get('rule', False)).lower()}, .input = {sheet['input']!r}, "
            f".read = {sheet['read']!r}, .output = {output}, "
            f".rules = {rules_of(sheet, table, where)}, .note = {text(note)}}},")


def main(prices, output):
    data = tomllib.loads(pathlib.Path(prices).read_text())
    lines = ["// Made by src/costs/write_sheets.py.", '#include "costs/price_sheet.h"', "",
             "namespace reprise {", "", "const std::vector<PriceSheet>& PublishedSheets() {",
             "  static const std::vector<PriceSheet> kSheets = {",
             *(sheet_of(sheet, data["rules"]) for sheet in data["sheet"]),
             "  };", "  return kSheets;", "}", "", "}  // namespace reprise", ""]
    pathlib.Path(output).write_text("\n".join(lines))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
