#!/usr/bin/env python3
"""Prints the longest files and functions of a folder of C++ sources, and the medians.

usage: tools/longest.py [FOLDER] [--files N] [--functions N]

A function is found by its shape: a brace at the end of a declaration that has parameters, up to its
partner. Lambdas count to the function they stand in. Python's standard library only.
"""
import argparse
import pathlib
import re
import statistics

# Comments, strings, characters and preprocessor lines: braces within them do not count.
NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
                     r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:\\\n|[^\n])*", re.DOTALL | re.MULTILINE)
OTHER = re.compile(r"^(?:template\s*<.*?>\s*)?(?:inline\s+)?(namespace|class|struct|enum|union|extern)\b"
                   r"(?![^{]*\)\s*(?:const|noexcept|override)?\s*$)", re.DOTALL)
NAME = re.compile(r"((?:~|\b)[\w:~]+|operator\s*\S+?)\s*\(")


def functions(text):
    """(name, first line, lines) of each function's definition."""
    code = NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    open_blocks, start, within = [], 0, 0  # open: what each brace begins, or None
    for at, sign in enumerate(code):
        if sign == ";" and not within:
            start = at + 1
        elif sign == "{":
            head = code[start:at].strip()
            head = re.sub(r"^(?:(?:public|private|protected)\s*:\s*)+", "", head)
            name = NAME.search(head)
            is_function = not within and name and not OTHER.match(head) and "=" not in head.split("(")[0]
            first = start + len(code[start:at]) - len(code[start:at].lstrip())
            open_blocks.append((name.group(1), first) if is_function else None)
            within += bool(is_function or within)
            start = at + 1
        elif sign == "}" and open_blocks:
            block = open_blocks.pop()
            within = max(within - 1, 0)
            if block:
                line = code.count("\n", 0, block[1]) + 1
                yield block[0], line, code.count("\n", block[1], at) + 1
            start = at + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path("src"))
    parser.add_argument("--files", type=int, default=10, metavar="N")
    parser.add_argument("--functions", type=int, default=10, metavar="N")
    options = parser.parse_args()
    files, found = [], []
    for path in sorted(options.folder.rglob("*")):
        if path.suffix in (".h", ".cc"):
            text = path.read_text()
            files.append((text.count("\n"), path))
            found += [(lines, f"{path}:{line}", name) for name, line, lines in functions(text)]
    for lines, path in sorted(files, key=lambda each: -each[0])[:options.files]:
        print(f"{lines:5}  {path}")
    print(f"{statistics.median(lines for lines, _ in files):5g}  median of {len(files)} files\n")
    for lines, place, name in sorted(found, key=lambda each: -each[0])[:options.functions]:
        print(f"{lines:5}  {place}  {name}")
    print(f"{statistics.median(each[0] for each in found):5g}  median of {len(found)} functions")


if __name__ == "__main__":
    main()
