"""Writes C++ that holds files: the table that page_files.h declares.

usage: embed.py OUTPUT NAME=PATH…

NAME is what follows /page/ in a file's address; its ending gives the type.
"""
import pathlib
import sys

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# As they stand in a string literal; "?" is none of these, since two of them may begin a trigraph.
LITERAL = {byte: chr(byte) for byte in range(0x20, 0x7F) if byte != ord("?")}
LITERAL |= {ord("\n"): "\\n", ord('"'): '\\"', ord("\\"): "\\\\"}


def literal(data):
    """String literals of a line or so each; what is not ASCII in octal, which always has three digits."""
    for begin in range(0, max(len(data), 1), 80):
        text = "".join(LITERAL.get(byte, f"\\{byte:03o}") for byte in data[begin:begin + 80])
        yield f'    "{text}"'


def main(output, *files):
    lines = ["// Made by src/page/embed.py.", '#include "page/page_files.h"', "",
             "namespace reprise::internal {", "", "const std::vector<PageFile>& EmbeddedFiles() {",
             "  static const std::vector<PageFile> kFiles = {"]
    for name, path in (file.split("=", 1) for file in sorted(files)):
        path = pathlib.Path(path)
        data = path.read_bytes()
        lines += [f'    {{"{name}", "{TYPES[path.suffix]}", std::string_view(', *literal(data),
                  f"    , {len(data)})}},"]
    lines += ["  };", "  return kFiles;", "}", "", "}  // namespace reprise::internal", ""]
    pathlib.Path(output).write_text("\n".join(lines))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
