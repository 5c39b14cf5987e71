"""Texts that tokenizers are compared on: real ones, all languages' scripts, and noise."""

import functools
import glob
import json
import os
import pathlib
import unicodedata

from text_tool import ROOT

LANGUAGES = (pathlib.Path(__file__).parent / "data" / "languages.txt").read_text()


def read_all(patterns, limit):
    """The beginnings of the files that match, at most limit characters in all."""
    parts, size = [], 0
    for pattern in patterns:
        for path in filter(os.path.isfile, sorted(glob.glob(pattern, recursive=True))):
            if size >= limit:
                return parts
            parts.append(pathlib.Path(path).read_bytes().decode(errors="ignore")[:60_000])
            size += len(parts[-1])
    return parts


@functools.cache
def real_texts():
    """Real text of this machine: code, English, and translations in many scripts."""
    library = pathlib.Path(json.__file__).parents[1]
    shared = ROOT.parent / "shared" / "data"
    return [
        *read_all([f"{library}/*.py", f"{library}/encodings/*.py"], 500_000),
        *read_all(["/usr/include/*.h", "/usr/include/linux/*.h"], 300_000),
        *read_all(["/usr/share/common-licenses/*", f"{shared}/mt_bench/*", f"{shared}/tau2/**/*.md"], 400_000),
        *read_all(["/usr/share/locale/zh*/LC_MESSAGES/*.mo", "/usr/share/locale/ja/LC_MESSAGES/*.mo",
                   "/usr/share/locale/ar/LC_MESSAGES/*.mo", "/usr/share/vim/vim*/lang/zh_TW.UTF-8/**/*.mo",
                   "/usr/share/vim/vim*/lang/[jkru]*.UTF-8/**/*.mo"], 300_000),
    ]


def mixed_languages(rng, size):
    """The lines of data/languages.txt, cut and joined anew, with digits, blanks and line breaks."""
    lines, parts, length = LANGUAGES.splitlines(), [], 0
    while length < size:
        line = rng.choice(lines)
        start = rng.randrange(len(line))
        parts.append(line[start:start + rng.randrange(1, 120)])
        parts.append(rng.choice(["", " ", "  ", "\n", "\n\n", "\r\n", "\t", " \n ", "7", "2024", ".", "'s"]))
        length += len(parts[-1]) + len(parts[-2])
    return "".join(parts)


def random_unicode(rng, size):
    """Every plane, control characters and white space of all kinds; no surrogates."""
    ranges = [(0, 0x20), (0x20, 0x7F), (0x80, 0x300), (0x300, 0x3000), (0x2000, 0x2070), (0x3000, 0xD800),
              (0xE000, 0x10000), (0x10000, 0x20000), (0x1F300, 0x1FB00), (0x20000, 0x110000)]
    return "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(size))


def same_unicode(text):
    """Characters younger than Python's tables may be classed differently by the two regex engines."""
    return "".join(c for c in text if unicodedata.category(c) != "Cn")


def every_character():
    return same_unicode("".join(chr(c) for c in range(0xE0200) if not 0xD800 <= c < 0xE000))
