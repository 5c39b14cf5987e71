"""Pages that scripts write: blocks between markers, the machine in a line, a clean Markdown
table."""
import pathlib
import platform
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def generation(info):
    """Where the name does not say it, as virtual machines' often do not: AMD's family, " (Zen 5)"."""
    if "AuthenticAMD" not in info:
        return ""
    family = re.search(r"^cpu family\s*: (\d+)$", info, re.M)
    zen = {"25": "Zen 4" if "avx512f" in info else "Zen 3", "26": "Zen 5"}.get(family and family.group(1))
    return f" ({zen})" if zen else ""


def machine():
    """Processor, cores, commit (with + if the tree has changes) and day."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    names = re.findall(r"^model name\s*: (.*)$", info, re.M)
    git = ["git", "-C", ROOT]
    commit = subprocess.run(git + ["rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run(git + ["status", "--porcelain", "--untracked-files=no"],
                             capture_output=True, text=True).stdout.strip()
    name = commit.stdout.strip() + ("+" if changed else "") or "unknown"
    return (f"{names[0] if names else platform.machine()}{generation(info)}, {len(names) or '?'} cores; "
            f"commit {name}; {time.strftime('%Y-%m-%d')}")


def replace_block(path, name, text):
    """Puts `text` between <!-- name:begin --> and <!-- name:end --> of the page at `path`, at its
    end if it has no such place yet. The rest of the page stays."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    block = f"{begin}\n{text.strip()}\n{end}"
    page = path.read_text() if path.exists() else ""
    place = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    page = place.sub(lambda _: block, page) if place.search(page) else \
        f"{page.rstrip()}\n\n{block}\n".lstrip()
    path.write_text(page)


def table(head, rows, right=()):
    """A Markdown table; columns whose index is in `right` are set right."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join("---:" if i in right else "---" for i in range(len(head))) + "|"
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"
