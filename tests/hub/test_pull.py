"""Models by their names: fetched, checked, found again by this program and by the hub's own client."""

import fcntl
import hashlib
import os
import pathlib
import pty
import re
import signal
import threading
import time

import pytest

from played_hub import Repo, gguf_bytes

SMALL, LARGE = 5000, 6_000_000


@pytest.fixture
def repo(hub):
    hub.repos["org/model-GGUF"] = Repo({
        "README.md": b"a model",
        "model-Q4_K_M.gguf": gguf_bytes(LARGE, 1),
        "model-Q8_0.gguf": gguf_bytes(SMALL, 2),
        "mmproj-model-f16.gguf": gguf_bytes(SMALL, 3),
    })
    return hub.repos["org/model-GGUF"]


# -- The folder that is shared ------------------------------------------------------------------------


def test_what_is_pulled_the_hubs_client_finds_without_asking(machine, hub, repo):
    path = machine.pull("hf:org/model-GGUF")
    assert path.name == "model-Q4_K_M.gguf" and path.read_bytes() == repo.files[path.name]
    assert os.readlink(path) == f"../../blobs/{hashlib.sha256(repo.files[path.name]).hexdigest()}"
    hub.asked.clear()
    found = machine.witness("print(hf_hub_download('org/model-GGUF', 'model-Q4_K_M.gguf', local_files_only=True))")
    assert found == str(path) and hub.asked == []
    # Asking, it finds nothing to fetch.
    assert machine.witness("print(hf_hub_download('org/model-GGUF', 'model-Q4_K_M.gguf'))") == str(path)
    assert hub.asked_of("store") == []
    report = machine.witness("""
r = scan_cache_dir()
print(len(r.warnings), [(x.repo_id, x.size_on_disk, [(sorted(v.refs), len(v.files)) for v in x.revisions])
                        for x in r.repos])""")
    assert report == f"0 [('org/model-GGUF', {LARGE}, [(['main'], 1)])]"
    assert machine.incomplete() == []


def test_what_the_hubs_client_fetched_is_found_without_asking(machine, hub, repo):
    path = machine.witness("print(hf_hub_download('org/model-GGUF', 'model-Q4_K_M.gguf'))")
    hub.asked.clear()
    done = machine.run("inspect", "--model", "hf:org/model-GGUF")  # no GGUF but for its first letters
    assert path in done.stderr and hub.asked == []
    hub.stop()
    assert machine.pull("hf:org/model-GGUF:q4_k_m", environment={"HF_HUB_OFFLINE": "1"}) == pathlib.Path(path)


def test_offline_nothing_is_asked(machine, hub, repo):
    machine.pull("hf:org/model-GGUF:Q8_0")
    hub.asked.clear()
    offline = {"HF_HUB_OFFLINE": "1"}
    error = machine.refused("pull", "hf:org/model-GGUF:Q4_K_M", environment=offline)
    assert "HF_HUB_OFFLINE forbids" in error and "only model-Q8_0.gguf (5 kB)" in error
    assert "HF_HUB_OFFLINE forbids" in machine.refused("pull", "hf:org/other", environment=offline)
    assert hub.asked == []


def test_a_model_that_is_served_without_a_hub_is_the_one_that_is_there(machine, hub, repo):
    """Q8_0 was the only one; whether it still is only the hub knows, and the hub is away."""
    del repo.files["model-Q4_K_M.gguf"]
    path = machine.pull("hf:org/model-GGUF")
    hub.stop()
    started = time.monotonic()
    done = machine.run("inspect", "--model", "hf:org/model-GGUF")
    assert "cannot be reached" in done.stderr and "serving what was fetched before" in done.stderr
    assert str(path) in done.stderr and time.monotonic() - started < 5


@pytest.mark.parametrize("variable,folder", [("HF_HOME", "hub"), ("HF_HUB_CACHE", "")])
def test_the_folder_is_where_the_environment_says(machine, tmp_path, repo, variable, folder):
    path = machine.pull("hf:org/model-GGUF:Q8_0", environment={variable: str(tmp_path / "elsewhere")})
    assert (tmp_path / "elsewhere" / folder) in path.parents
    assert not machine.cache.exists()


def test_a_new_commit_shares_what_has_not_changed(machine, hub, repo):
    first = machine.pull("hf:org/model-GGUF:Q8_0")
    repo.revisions["v1"] = "1" * 40
    repo.commit = "3" * 40
    hub.asked.clear()
    second = machine.pull("hf:org/model-GGUF:Q8_0")
    assert second != first and second.samefile(first) and hub.asked_of("store") == []
    assert machine.pull("hf:org/model-GGUF@v1:Q8_0") == first
    assert (machine.cache / "models--org--model-GGUF/refs/main").read_text() == "3" * 40
    assert (machine.cache / "models--org--model-GGUF/refs/v1").read_text() == "1" * 40


def test_who_pulls_the_same_waits_for_the_first(machine, hub, repo):
    etag = hashlib.sha256(repo.files["model-Q8_0.gguf"]).hexdigest()
    lock = machine.cache / f".locks/models--org--model-GGUF/{etag}.lock"
    lock.parent.mkdir(parents=True)
    blob = machine.cache / f"models--org--model-GGUF/blobs/{etag}"
    blob.parent.mkdir(parents=True)
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = machine.start("pull", "hf:org/model-GGUF:Q8_0")
        lines = iter(process.stderr.readline, "")
        assert any("another process fetches model-Q8_0.gguf" in line for line in lines)
        blob.write_bytes(repo.files["model-Q8_0.gguf"])
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and pathlib.Path(out.strip()).samefile(blob)
    assert hub.asked_of("store") == []


def test_a_link_that_leads_nowhere_is_mended(machine, repo):
    path = machine.pull("hf:org/model-GGUF:Q8_0")
    path.resolve().unlink()
    assert machine.pull("hf:org/model-GGUF:Q8_0") == path and path.read_bytes() == repo.files[path.name]


# -- Which file ------------------------------------------------------------------------------------------


def test_several_that_may_be_meant_are_listed_with_their_sizes(machine, repo):
    repo.files = {"a-IQ2_M.gguf": gguf_bytes(1200, 1), "b-IQ3_M.gguf": gguf_bytes(2_345_678, 2)}
    error = machine.refused("pull", "hf:org/model-GGUF")
    assert "a-IQ2_M.gguf (1 kB), b-IQ3_M.gguf (2 MB)" in error and "say which" in error


def test_the_part_that_sees_is_never_the_model(machine, repo):
    assert machine.pull("hf:org/model-GGUF:Q4_K_M").name == "model-Q4_K_M.gguf"
    assert "not a model that can be run" in machine.refused("pull", "hf:org/model-GGUF:mmproj-model-f16.gguf")
    assert "no GGUF model with 'f16'" in machine.refused("pull", "hf:org/model-GGUF:f16")
    repo.files = {"model.safetensors": b"x", "mmproj.gguf": gguf_bytes(100, 1)}
    assert "holds no GGUF model" in machine.refused("pull", "hf:org/model-GGUF")


def test_paths_that_lead_out_of_the_folder_do_not_count(machine, tmp_path, repo):
    repo.files = {"../../../../evil-Q4_K_M.gguf": gguf_bytes(100, 1), "good-Q8_0.gguf": gguf_bytes(100, 2)}
    assert machine.pull("hf:org/model-GGUF").name == "good-Q8_0.gguf"
    assert "no GGUF model with 'evil'" in machine.refused("pull", "hf:org/model-GGUF:evil")
    assert not list(tmp_path.rglob("evil*"))


def test_all_parts_of_a_split_model_come(machine, hub, repo):
    repo.files |= {f"Q6_K/big-Q6_K-0000{i}-of-00003.gguf": gguf_bytes(SMALL, 10 + i) for i in (1, 2, 3)}
    path = machine.pull("hf:org/model-GGUF:Q6_K")
    assert path.name == "big-Q6_K-00001-of-00003.gguf" and path.parent.name == "Q6_K"
    for i in (1, 2, 3):
        part = path.parent / f"big-Q6_K-0000{i}-of-00003.gguf"
        assert part.read_bytes() == repo.files[f"Q6_K/{part.name}"]
    found = machine.witness("print(hf_hub_download('org/model-GGUF', 'Q6_K/big-Q6_K-00003-of-00003.gguf', "
                            "local_files_only=True))")
    assert found == str(path.parent / "big-Q6_K-00003-of-00003.gguf")
    del repo.files["Q6_K/big-Q6_K-00002-of-00003.gguf"]
    error = machine.refused("pull", "hf:org/model-GGUF:Q6_K")
    assert "part 2 of 3" in error and "is missing" in error


def test_a_repository_that_was_renamed_is_found(machine, hub, repo):
    hub.repos["org/old-GGUF"] = Repo({}, redirect_to="org/model-GGUF")
    assert machine.pull("hf:org/old-GGUF:Q8_0").read_bytes() == repo.files["model-Q8_0.gguf"]


# -- Transfers that break ----------------------------------------------------------------------------------


def ranges(hub):
    return [headers.get("Range") for _, _, _, headers in hub.asked_of("store", "GET")]


def test_a_connection_that_is_cut_is_gone_on_with(machine, hub, repo):
    hub.order.cuts = [1_000_000, 2_000_000]
    path = machine.pull("hf:org/model-GGUF")
    assert path.read_bytes() == repo.files[path.name]
    assert ranges(hub) == [None, "bytes=1000000-", "bytes=3000000-"]


def test_a_later_process_goes_on_where_an_earlier_one_stopped(machine, hub, repo):
    hub.order.chunk, hub.order.pause_s = 200_000, 0.1
    process = machine.start("pull", "hf:org/model-GGUF")
    wait_for(lambda: machine.incomplete() and machine.incomplete()[0].stat().st_size >= 600_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130 and out == "" and "what was fetched is kept" in err
    kept = machine.incomplete()[0].stat().st_size
    assert 600_000 <= kept < LARGE
    hub.order.pause_s = 0
    done = machine.run("pull", "hf:org/model-GGUF")
    assert "of model-Q4_K_M.gguf are there" in done.stderr
    assert pathlib.Path(done.stdout.strip()).read_bytes() == repo.files["model-Q4_K_M.gguf"]
    assert ranges(hub) == [None, f"bytes={kept}-"]
    assert machine.incomplete() == []


def test_a_store_that_knows_no_ranges_is_asked_for_all(machine, hub, repo):
    hub.order.cuts, hub.order.ignore_ranges = [1_000_000], True
    path = machine.pull("hf:org/model-GGUF")
    assert path.read_bytes() == repo.files[path.name]


def test_a_store_that_goes_silent_is_asked_again(machine, hub, repo):
    repo.files["model-Q4_K_M.gguf"] = gguf_bytes(300_000, 1)
    hub.order.chunk, hub.order.pause_s = 200_000, 8  # the environment allows two
    threading.Timer(1.5, lambda: setattr(hub, "order", type(hub.order)())).start()
    path = machine.pull("hf:org/model-GGUF")
    assert path.read_bytes() == repo.files[path.name]
    assert ranges(hub) == [None, "bytes=200000-"]


def test_trouble_of_the_hub_and_the_store_passes(machine, hub, repo):
    hub.api_statuses, hub.order.statuses = [503], [500]
    assert machine.pull("hf:org/model-GGUF:Q8_0").read_bytes() == repo.files["model-Q8_0.gguf"]


def test_content_with_another_checksum_is_erased(machine, hub, repo):
    content = bytearray(repo.files["model-Q8_0.gguf"])
    content[-1] ^= 1
    hub.order.content["model-Q8_0.gguf"] = bytes(content)
    error = machine.refused("pull", "hf:org/model-GGUF:Q8_0")
    assert "SHA-256" in error and "it was erased" in error
    assert list(machine.cache.glob("models--*/blobs/*")) == []
    hub.order.content.clear()
    assert machine.pull("hf:org/model-GGUF:Q8_0").read_bytes() == repo.files["model-Q8_0.gguf"]


def test_a_half_that_was_spoilt_is_not_gone_on_with_twice(machine, hub, repo):
    etag = hashlib.sha256(repo.files["model-Q4_K_M.gguf"]).hexdigest()
    blobs = machine.cache / "models--org--model-GGUF/blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag}.incomplete").write_bytes(b"GGUF" + bytes(1_000_000))
    assert "it was erased" in machine.refused("pull", "hf:org/model-GGUF")
    assert machine.pull("hf:org/model-GGUF").read_bytes() == repo.files["model-Q4_K_M.gguf"]


def test_what_is_no_gguf_file_is_refused_at_its_first_bytes(machine, hub, repo):
    repo.files["model-Q8_0.gguf"] = b"<html>" + bytes(LARGE)
    hub.order.chunk, hub.order.pause_s = 100_000, 0.2
    started = time.monotonic()
    assert "not a GGUF file" in machine.refused("pull", "hf:org/model-GGUF:Q8_0")
    assert time.monotonic() - started < 5
    assert machine.incomplete() == []


def test_a_file_larger_than_the_disk_is_not_begun(machine, hub, repo):
    hub.said_sizes["model-Q8_0.gguf"] = 10**15
    error = machine.refused("pull", "hf:org/model-GGUF:Q8_0")
    assert "1000000 GB more are needed in" in error and "has room for" in error
    assert hub.asked_of("store") == []


def test_a_disk_that_fills_up_keeps_what_came(machine, hub, repo):
    error = machine.refused("pull", "hf:org/model-GGUF", limit_bytes=2_000_000)
    assert "cannot write" in error and ".incomplete: File too large" in error
    assert machine.incomplete()[0].stat().st_size == 2_000_000
    path = machine.pull("hf:org/model-GGUF")
    assert path.read_bytes() == repo.files[path.name]
    assert ranges(hub)[-1] == "bytes=2000000-"


def test_a_folder_that_cannot_be_written_to_is_named(machine, tmp_path, repo):
    (tmp_path / "file").write_text("")
    error = machine.refused("pull", "hf:org/model-GGUF", environment={"HF_HUB_CACHE": str(tmp_path / "file")})
    assert f"cannot write {tmp_path}/file" in error


# -- Who may read ------------------------------------------------------------------------------------------


def test_the_token_goes_to_the_hub_and_to_nobody_else(machine, hub, repo):
    repo.token = "hf_secret"
    path = machine.pull("hf:org/model-GGUF:Q8_0", environment={"HF_TOKEN": "hf_secret"})
    assert path.read_bytes() == repo.files["model-Q8_0.gguf"]
    sent = {server: {headers.get("Authorization") for name, _, _, headers in hub.asked if name == server}
            for server in ("hub", "store")}
    assert sent == {"hub": {"Bearer hf_secret"}, "store": {None}}


def test_where_a_mirror_sends_to_the_hub_the_token_does_not_go_along(machine, hub, repo):
    path = machine.pull("hf:org/model-GGUF:Q8_0", environment={"HF_ENDPOINT": hub.mirror_url, "HF_TOKEN": "hf_secret"})
    assert path.read_bytes() == repo.files["model-Q8_0.gguf"]
    assert all("Authorization" not in headers for _, _, _, headers in hub.asked)


def test_the_token_of_the_hubs_login_is_used(machine, hub, repo):
    repo.token = "hf_secret"
    (machine.home / ".cache/huggingface").mkdir(parents=True)
    (machine.home / ".cache/huggingface/token").write_text("hf_secret\n")
    assert machine.pull("hf:org/model-GGUF:Q8_0").read_bytes() == repo.files["model-Q8_0.gguf"]


def test_refusals_say_what_to_do(machine, hub, repo):
    known, unknown = {"HF_TOKEN": "hf_secret"}, {"HF_TOKEN": "unknown"}
    error = machine.refused("pull", "hf:org/none")  # 401
    assert f"there is no org/none at {hub.url}" in error and "set HF_TOKEN" in error
    error = machine.refused("pull", "hf:org/none", environment=known)  # 404
    assert "there is no org/none" in error and "the token of HF_TOKEN may not read it" in error
    error = machine.refused("pull", "hf:org/model-GGUF", environment=unknown)  # 401
    assert "does not know the token of HF_TOKEN" in error and f"{hub.url}/settings/tokens" in error
    repo.gated, repo.token = True, "hf_of_somebody_else"
    error = machine.refused("pull", "hf:org/model-GGUF")  # 401 of the file
    assert "is gated" in error and f"{hub.url}/org/model-GGUF" in error and "set HF_TOKEN" in error
    error = machine.refused("pull", "hf:org/model-GGUF", environment=known)  # 403
    assert "is gated" in error and "the token of HF_TOKEN has no access yet" in error
    assert "has no revision 'v9'" in machine.refused("pull", "hf:org/model-GGUF@v9")  # 404
    assert "hf:ORG/REPO" in machine.refused("pull", "org/model-GGUF")
    assert machine.incomplete() == []


def test_a_hub_that_is_none_is_said_to_be_none(machine, hub, repo):
    error = machine.refused("pull", "hf:org/model-GGUF", environment={"HF_ENDPOINT": "ftp://example"})
    assert "HF_ENDPOINT" in error


# -- How far it is --------------------------------------------------------------------------------------------


def test_a_terminal_shows_one_line_that_is_written_anew(machine, hub, repo):
    hub.order.chunk, hub.order.pause_s = 300_000, 0.05
    terminal, program_side = pty.openpty()
    process = machine.start("pull", "hf:org/model-GGUF", stderr=program_side)
    os.close(program_side)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # the other side was closed
        pass
    os.close(terminal)
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    lines = shown.decode().split("\r\n")
    assert lines[0] == "fetching model-Q4_K_M.gguf, 6 MB"
    states = lines[1].split("\r\x1b[K".replace("\x1b[K", ""))
    assert len([state for state in states if re.search(r"\d MB of 6 MB \(\d+ %\), \d+ MB/s, \d+ s left", state)]) >= 2


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)
