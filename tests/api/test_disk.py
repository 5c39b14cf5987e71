"""The cache on disk, as a user has it: what was read outlives a stop and a kill, and no fault is seen."""

import json
import random
import subprocess
import time

import pytest

from conftest import BINARY, MODEL

BLOCK = 32


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def serve(start, folder):
    """serve(*options) -> a server over the folder."""
    return lambda *options: start("--disk", folder, "--disk-size", "1G", *options)


def body(words, salt="x"):
    return {"prompt": " ".join(f"{salt}{i * 7919 % 10007}" for i in range(words)), "max_tokens": 6, "temperature": 0}


def kept_for_an_hour():
    """A message of Anthropic's with a marked system text."""
    text = " ".join(f"kept{i}" for i in range(200))
    return {
        "model": "m", "max_tokens": 2,
        "system": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": "hi"}],
    }  # yapf: disable


def ask(server, request):
    reply = server.post("/v1/completions", request)
    figures = dict(part.split("=") for part in reply["headers"]["x-reprise-cache"].split(", "))
    return reply["choices"][0]["logits_checksum"], {name: int(value) for name, value in figures.items()}


def wait_written(server, tokens):
    """Until the disk has all whole blocks of a prompt."""
    until = time.monotonic() + 30
    while server.get("/cache")["disk"]["blocks"] < tokens // BLOCK and time.monotonic() < until:
        time.sleep(0.02)


def stop(server):
    server.stop()
    server.stop = lambda: None  # it has ended


def kill(server):
    server.process.kill()
    server.process.wait()
    server.stop = lambda: None


def test_a_stop_and_a_kill_lose_nothing(serve, start):
    request = body(300)
    cold, figures = ask(start(), request)
    server = serve()
    assert ask(server, request) == (cold, figures)
    before = server.get("/cache")["disk"]["bytes"]["held"]
    stop(server)
    for _ in range(2):
        server = serve()
        disk = server.get("/cache")["disk"]
        assert disk["bytes"]["held"] >= before > 0
        tokens = figures["computed"]
        checksum, read = ask(server, request)
        assert checksum == cold
        whole = (tokens - 1) // BLOCK * BLOCK
        assert read == {"read": whole, "write": 0, "computed": tokens - whole, "disk": whole}
        assert server.metric("read_below_tokens_total") == whole
        assert server.metric('tier_read_blocks_total{tier="disk"}') == whole // BLOCK
        kill(server)


def test_usage_after_a_restart_is_usage_before_to_the_byte(serve):
    server = serve()
    for i in range(3):
        ask(server, body(120, f"u{i}"))
    stop(server)
    server = serve()
    first = server.get("/cache")["disk"]
    stop(server)
    assert serve().get("/cache")["disk"]["bytes"] == first["bytes"]
    assert first["blocks"] > 0


def test_a_mark_keeps_its_lifetime_over_a_kill(serve, folder):
    message = kept_for_an_hour()
    server = serve()
    server.post("/v1/messages", message)
    tokens = server.get("/cache")["lifetimes"]
    assert tokens["promises_to_1h"] == 1
    until = time.monotonic() + 30
    while server.get("/cache")["disk"]["bytes"]["promised"] == 0 and time.monotonic() < until:
        time.sleep(0.02)
    kill(server)
    server = serve()
    promised = server.get("/cache")["disk"]["bytes"]["promised"]
    assert promised > 0
    usage = server.post("/v1/messages", message)["usage"]
    assert usage["cache_read_input_tokens"] >= 600
    kill(server)
    pruned = run_cache("prune", folder, "--older-than", "1ms", "--size", "1M")
    assert pruned.returncode == 0, pruned.stderr
    assert serve().get("/cache")["disk"]["bytes"]["promised"] == promised, "what is promised is not pruned"


def test_delete_cache_empties_the_disk(serve, folder):
    server = serve()
    ask(server, body(200))
    wait_written(server, 700)
    server.flush()
    assert server.get("/cache")["disk"]["blocks"] == 0
    assert sum(path.stat().st_size for path in folder.glob("records-*")) == 0


def run_cache(*arguments):
    return subprocess.run([BINARY, "cache", *map(str, arguments)], capture_output=True, text=True)


def test_what_operators_do_with_the_folder(serve, folder):
    absent = run_cache("stat", folder)
    assert absent.returncode == 2 and "there is no cache" in absent.stderr
    server = serve()
    ask(server, body(200))
    busy = run_cache("stat", folder)
    assert busy.returncode == 2 and "another process uses the cache" in busy.stderr
    stop(server)
    assert " blocks of 569344 bytes" in run_cache("stat", folder).stdout
    assert " are whole, 0 are not" in run_cache("verify", folder).stdout
    (data,) = folder.glob("records-*")
    with open(data, "r+b") as file:
        file.seek(569344 + 9000)
        file.write(b"flipped")
    bad = run_cache("verify", folder)
    assert bad.returncode == 1 and "1 are not" in bad.stdout
    assert run_cache("verify", folder, "--mend").returncode == 0
    assert run_cache("verify", folder).returncode == 0
    assert "erased" in run_cache("clear", folder).stdout
    assert "0 blocks" in run_cache("stat", folder).stdout


def test_two_servers_do_not_share_a_folder(serve, folder):
    serve()
    second = subprocess.run(
        [BINARY, "serve", "--model", MODEL, "--port", "0", "--disk", folder], capture_output=True, text=True
    )
    assert second.returncode == 2
    assert f"another process uses the cache in {folder}" in second.stderr


def test_a_folder_that_cannot_be_used_is_a_warning(start, tmp_path):
    (tmp_path / "file").write_text("no folder")
    server = start("--disk", tmp_path / "file")
    assert any("nothing is kept on disk" in line for line in server.log)
    assert "disk" not in server.get("/cache")
    ask(server, body(50))


def test_whatever_happens_to_its_files_no_answer_changes(serve, start, folder):
    request = body(300)
    cold, _ = ask(start(), request)
    generator = random.Random(5)
    server = serve()
    ask(server, request)
    for way in ("flip", "cut", "vanish", "index"):
        stop(server)
        (data,) = folder.glob("records-*")
        if way == "flip":
            content = bytearray(data.read_bytes())
            for _ in range(200):
                content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
            data.write_bytes(content)
        elif way == "cut":
            with open(data, "r+b") as file:
                file.truncate(data.stat().st_size // 3)
        elif way == "vanish":
            data.unlink()
        else:
            (folder / "index/data.mdb").write_bytes(b"no index" * 1000)
        server = serve()
        assert ask(server, request)[0] == cold, way
        disk = server.get("/cache")["disk"]["counters"]
        said = [line for line in server.log if " W " in line]
        if way == "index":
            assert any("begins anew" in line for line in said)
        else:
            assert disk["corrupt_blocks"] + disk["read_failures"] == 1
            assert any("computed instead" in line for line in said)
        assert ask(server, request)[0] == cold


def why(server, reply):
    request = reply["headers"]["x-request-id"]
    return server.get(f"/cache/requests/{request}")["prompts"][0]["why"]


def test_a_request_is_told_why_the_disk_had_it_no_more(start, folder):
    """Memory and disk hold a few prompts only; the first is asked for again."""
    small = ("--kv-memory", "32M", "--context", "1024", "--disk", folder)
    for options, reason in ((("--disk-size", "32M"), "evicted"),
                            (("--disk-size", "1G", "--disk-retention", "1s"), "expired")):  # yapf: disable
        server = start(*small, *options)
        ask(server, body(150, "first"))
        time.sleep(2.5 if reason == "expired" else 0.2)
        for i in range(4):
            ask(server, body(150, f"more{i}"))
            time.sleep(0.3)
        told = why(server, server.post("/v1/completions", body(150, "first")))
        assert (told["reason"], told["disk"]) == ("evicted", reason)
        assert any("evicted" in line and line.rstrip().endswith(f"; disk: {reason}") for line in server.log)
        server.flush()
        stop(server)


def test_a_request_is_told_that_its_block_was_refused(serve, folder):
    server = serve()
    ask(server, body(150))
    stop(server)
    (data,) = folder.glob("records-*")
    with open(data, "r+b") as file:
        for record in range(data.stat().st_size // 569344 + 1):
            file.seek(record * 569344 + 9000)
            file.write(b"flipped")
    server = serve()
    told = why(server, server.post("/v1/completions", body(150)))
    assert told == {"reason": "nothing_shared", "disk": "checksum"}
    assert any("read 0 tokens; disk: checksum" in line for line in server.log)


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment(serve, folder, seed):
    """bench/tiers/measure.py --kills 200 does this under load."""
    generator = random.Random(seed)
    server = serve()
    checksums = {}
    for i in range(generator.randrange(1, 4)):
        checksums[i] = ask(server, body(150, f"k{i}"))[0]
    # Into whatever the threads are doing now.
    raw = server.connect()
    content = json.dumps(body(300, "late")).encode()
    raw.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(content) + content)
    time.sleep(generator.random() * 0.3)
    kill(server)
    raw.close()
    verified = run_cache("verify", folder)
    assert verified.returncode == 0 and ", 0 are not" in verified.stdout, verified
    server = serve()
    for i, checksum in checksums.items():
        assert ask(server, body(150, f"k{i}"))[0] == checksum
