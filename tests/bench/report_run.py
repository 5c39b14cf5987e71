"""Runs `./run bench --quick` and reads the page and the figures that it wrote."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = pathlib.Path(os.environ.get("REPRISE_BENCH_PYTHON", ROOT / ".bench/bin/python"))
BINARY = pathlib.Path(os.environ.get("REPRISE_BIN", ROOT / "build/release/src/app/reprise"))
CHAPTERS = 8


def start(page, *options):
    """The report's process, writing to `page`."""
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} is absent: ./test bench makes it")
    command = [PYTHON, "-m", "article", "--quick", "--output", page, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bench")}
    # A shell without job control starts what is in the background with SIGINT ignored.
    return subprocess.Popen([str(part) for part in command], cwd=ROOT, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def finish(process):
    """What it printed; it must have ended well."""
    said, _ = process.communicate(timeout=280)
    assert process.returncode == 0, said[-3000:]
    return said


class Report:
    def __init__(self, page):
        self.text = page.read_text()
        self.raw = json.loads(page.with_suffix(".json").read_text())
        self.figures, self.missing = self.raw["figures"], self.raw["missing"]

    def chapters(self):
        return len(re.findall(r"^## \d\. ", self.text, re.M))

    def row(self, begin):
        """Cells of the first table row that begins so."""
        line = next(line for line in self.text.splitlines() if line.startswith(f"| {begin} |"))
        return [cell.strip() for cell in line.strip("|").split("|")]

    def offered(self, name):
        return next(line for line in self.text.splitlines() if line.startswith(f"- **{name}**"))
