"""deploy/systemd: what systemd itself says of the units, and whether they let the program do what it does."""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from api.conftest import BINARY, MODEL
from scraper import DEPLOY

FOLDER = DEPLOY / "systemd"
UNITS = {"reprise.service": "serve.env", "reprise-route.service": "route.env"}


def settings(unit):
    """{"ExecStart": [value, …]}; a line that goes on after a backslash is one."""
    found = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", (FOLDER / unit).read_text().replace("\\\n", ""), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def examples(file):
    """The values of a variable in an environment file, the ones in comments included."""
    text = re.sub(r"^#(?=[A-Z_]+=|  --)", "", (FOLDER / file).read_text(), flags=re.MULTILINE)
    return re.findall(r"^([A-Z_]+)=(.*)$", re.sub(r"\s*\\\n\s*", " ", text), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say(unit, tmp_path):
    text = (FOLDER / unit).read_text()
    assert "/usr/local/bin/reprise" in text
    (tmp_path / unit).write_text(text.replace("/usr/local/bin/reprise", str(BINARY)))
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / unit], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    # 0 is nothing exposed, 100 everything; 14 is a service that has network and its own folders, and no more.
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", tmp_path / unit],
        capture_output=True, text=True, timeout=60,
    )  # yapf: disable
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit, file", UNITS.items())
def test_a_unit_and_its_file_of_options_agree(unit, file):
    found = settings(unit)
    assert found["EnvironmentFile"] == [f"/etc/reprise/{file}"]
    (command,) = found["ExecStart"]
    given = set(re.findall(r" (--[\w-]+)", command))
    (variable,) = re.findall(r"\$(\w+)", command)
    named = [value for name, value in examples(file) if name == variable]
    assert len(named) == 2, "one as it is, one in a comment"
    for value in named:
        options = re.findall(r"(?:^| )(--[\w-]+)", value)
        assert not given & set(options), "an option that the unit gives is refused a second time"
        assert "--model" in options
    drain, stop = (int(re.search(r"(\d+)s", text).group(1)) for text in (command, found["TimeoutStopSec"][0]))
    assert stop >= drain + 15


def test_both_files_name_one_model():
    values = [value for file in UNITS.values() for _, value in examples(file)]
    assert len({name for value in values for name in re.findall(r"--model (\S+)", value)}) == 1


def test_the_units_user_is_made():
    (words,) = re.findall(r"^u .*$", (FOLDER / "reprise.sysusers.conf").read_text(), re.MULTILINE)
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", FOLDER / "reprise.sysusers.conf"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "'reprise'" in done.stdout + done.stderr, done.stderr
    assert {settings(unit)["User"][0] for unit in UNITS} == {words.split()[1]}


def permitted(unit):
    """The system calls that the unit's filter lets through."""
    groups, group = {}, None
    listed = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    for line in re.sub(r"\x1b\[[\d;]*m", "", listed).splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), set())
        elif group is not None and (name := line.strip()) and not name.startswith("#"):
            group.add(name)

    def calls(name):
        return {call for each in groups[name] for call in (calls(each) if each.startswith("@") else {each})}

    allowed, *refused = settings(unit)["SystemCallFilter"]
    return calls(allowed) - {call for each in refused for call in calls(each.removeprefix("~"))}


def traced(trace, words, ask):
    """What a program asked of the kernel while it started, `ask`(its address) and SIGTERM came: [(call, arguments)]."""
    command = ["strace", "-f", "-qq", "-s", "0", "-o", trace, *words]
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        for line in process.stdout:
            if found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", line):
                ask(found.group(1))
                break
    finally:
        # The program itself, whose end is strace's; it is the first process that the trace tells of.
        if process.poll() is None:
            os.kill(int(trace.read_text(errors="replace").split(maxsplit=1)[0]), signal.SIGTERM)
        process.stdout.read()
    assert process.wait(timeout=60) == 0
    return re.findall(r"^\d+ +(\w+)\((.*)$", trace.read_text(errors="replace"), re.MULTILINE)


def assert_permitted(unit, calls):
    assert {name for name, _ in calls} - permitted(unit) == set()
    families = {found for name, text in calls if name == "socket" for found in re.findall(r"AF_\w+", text)}
    assert families <= set(settings(unit)["RestrictAddressFamilies"][0].split())
    # MemoryDenyWriteExecute refuses these three.
    assert [text for name, text in calls if name == "mmap" and "PROT_WRITE|PROT_EXEC" in text] == []
    assert [text for name, text in calls if name in ("mprotect", "pkey_mprotect") and "PROT_EXEC" in text] == []
    assert [text for name, text in calls if name == "shmat" and "SHM_EXEC" in text] == []


def healthy(address):
    try:
        return urllib.request.urlopen(f"{address}/health", timeout=60).status == 200
    except urllib.error.HTTPError:
        return False  # a router that has not found its replicas yet


def complete(address):
    until = time.monotonic() + 60
    while not healthy(address):
        assert time.monotonic() < until, f"{address} is not healthy"
        time.sleep(0.1)
    body = b'{"prompt": "The cat sat on the mat. The cat sat on the mat. The cat sat on the mat.", "max_tokens": 3}'
    request = urllib.request.Request(f"{address}/v1/completions", body, {"Content-Type": "application/json"})
    assert urllib.request.urlopen(request, timeout=300).status == 200


def test_a_replica_asks_nothing_that_its_unit_refuses(built, tmp_path):
    words = [BINARY, "serve", "--model", MODEL, "--port", "0", "--kv-memory", "64M", "--disk", tmp_path / "disk",
             "--shared", "redis://127.0.0.1:1"]  # fmt: skip
    calls = traced(tmp_path / "trace", words, complete)
    assert {"accept4", "openat", "futex"} & {name for name, _ in calls}
    assert_permitted("reprise.service", calls)


def test_a_router_asks_nothing_that_its_unit_refuses(built, start, tmp_path):
    replica = start()
    words = [BINARY, "route", "--model", MODEL, "--port", "0", "--replicas-from", f"localhost:{replica.port}"]
    assert_permitted("reprise-route.service", traced(tmp_path / "trace", words, complete))
