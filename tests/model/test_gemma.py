"""Gemma 3 270M, a real model whose layers look back only a window: perplexity beside llama.cpp's."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/release/src/app/reprise"
MODEL = ROOT / "models/gemma-3-270m.Q4_K_M.gguf"  # ./test fetches it
TEXT = pathlib.Path("/usr/share/common-licenses/GPL-3")  # of Debian's base-files

LLAMA_CPP = 13.91  # llama-perplexity on this file and text, windows of 512


def perplexity(*options):
    command = [PROGRAM, "perplexity", "--model", MODEL, "--file", TEXT, *options]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(re.search(r"perplexity ([0-9.]+)", output).group(1))


def test_perplexity_is_llama_cpps():
    assert perplexity() == pytest.approx(LLAMA_CPP, rel=0.01)


def test_exact_arithmetic_agrees():
    """All windows give 13.83; two of them are enough for a test, and take ten seconds."""
    windows = ["--windows", "2"]
    exact = perplexity("--compute", "exact", *windows)
    assert perplexity(*windows) == pytest.approx(exact, rel=0.01)
