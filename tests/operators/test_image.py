"""deploy/Containerfile: what it copies is enough to build, and what it installs is enough to run."""

import os
import re
import shutil
import subprocess

from api.conftest import BINARY, ROOT
from manifests import port_names

FILE = ROOT / "deploy/Containerfile"


def instructions():
    """[(NAME, the rest in one line)]"""
    text = re.sub(r"^\s*#.*\n", "", FILE.read_text(), flags=re.MULTILINE)
    return [tuple(line.split(maxsplit=1)) for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]


def copied():
    """Paths of the project that go into the stage that builds."""
    return [path for name, rest in instructions() if name == "COPY" and "--from" not in rest for path in rest.split()[:-1]]


def test_what_is_copied_is_all_that_is_let_in():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())
    for path in copied():
        assert subprocess.run(["git", "-C", ROOT, "ls-files", "--error-unmatch", path], capture_output=True).returncode == 0


def test_what_is_copied_is_enough_to_build(built, tmp_path):
    (tmp_path / "copy").mkdir()
    files = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", *copied()], capture_output=True, text=True, check=True)
    for name in files.stdout.rstrip("\0").split("\0"):
        if (ROOT / name).exists():
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "copy" / name)
    (command,) = (rest for name, rest in instructions() if name == "RUN" and "cmake" in rest)
    configure = command.split(" && ")[0].split()
    assert configure[:3] == ["cmake", "--preset", "release"]
    configure.append(f"-DREPRISE_UPLOT={ROOT / 'build/npm/uplot'}")  # fetched once
    done = subprocess.run(configure, cwd=tmp_path / "copy", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # Nothing is built, but every file that would be read has to be there.
    done = subprocess.run(
        ["ninja", "-C", "build/release", "-n", "reprise"], cwd=tmp_path / "copy", capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:]


def package_of(library):
    """Of Debian; the one that a linked library's file belongs to."""
    for folder in ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"):
        for path in {f"{folder}/{library}", os.path.realpath(f"{folder}/{library}")}:
            done = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True)
            if done.returncode == 0:
                return done.stdout.split(":")[0]
    raise AssertionError(f"no package has {library}")


def test_what_the_program_links_is_installed(built):
    listed = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    read = subprocess.run(["readelf", "-d", BINARY], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", read)
    assert needed and "not found" not in listed
    # Those that every Debian has.
    packages = {package_of(name) for name in needed} - {"libc6", "libgcc-s1"}
    (command,) = (rest for name, rest in instructions() if name == "RUN" and "ca-certificates" in rest)
    assert packages <= set(command.split()), "deploy/Containerfile installs what the program links"


def test_the_image_is_nobodys_and_says_how_it_stops():
    last = instructions()[max(i for i, (name, _) in enumerate(instructions()) if name == "FROM") :]
    assert dict(last)["USER"] == "65532:65532" and dict(last)["STOPSIGNAL"] == "SIGTERM"
    assert dict(last)["ENTRYPOINT"] == '["/usr/local/bin/reprise"]'
    ports = [port for workload in ("reprise-replica", "reprise-router") for port in port_names(workload).values()]
    assert [int(port) for port in dict(last)["EXPOSE"].split()] == ports
    assert all(rest.split()[0].startswith("docker.io/library/debian:12") for name, rest in instructions() if name == "FROM")
