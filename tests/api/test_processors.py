"""Which CPUs, threads and instruction sets the server takes."""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import BINARY, MODEL


def tasks_of(server):
    return sorted(pathlib.Path(f"/proc/{server.process.pid}/task").iterdir())


def test_loading_and_steps_have_the_same_threads(start):
    assert len(tasks_of(start("--threads", "4"))) == len(tasks_of(start("--threads", "1"))) + 3


def test_every_thread_keeps_to_the_cpus_that_were_asked_for(start):
    last = max(os.sched_getaffinity(0))
    bound = start("--cpus", str(last))
    for task in tasks_of(bound):
        status = (task / "status").read_text()
        assert re.search(r"^Cpus_allowed_list:\s+(.*)$", status, re.M).group(1) == str(last)
    # One core, one thread: none beside the caller.
    assert len(tasks_of(bound)) == len(tasks_of(start("--cpus", str(last), "--threads", "1")))


@pytest.mark.parametrize(
    "options, said",
    [
        (["--cpus", "one"], "'one' is no list of CPUs such as 0-3,8"),
        (["--cpus", "3-1"], "'3-1' is no list of CPUs"),
        (["--cpus", "1023"], "may use none of the CPUs"),
        (["--isa", "avx1024"], "unknown instruction set 'avx1024': one of auto, plain, avx2"),
    ],
)
def test_what_is_not_there_is_one_clear_sentence(built, options, said):
    done = subprocess.run(
        [str(BINARY), "serve", "--model", str(MODEL), "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert said in done.stderr
