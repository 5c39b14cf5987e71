"""`./run bench --quick` against a fake endpoint in all its moods."""
import json
import re
import signal
import socket
import time

import pytest

from fake_endpoint import KEY, FakeEndpoint
from report_run import CHAPTERS, Report, finish, start


@pytest.fixture(scope="module")
def fake():
    endpoint = FakeEndpoint()
    yield endpoint
    endpoint.stop()


@pytest.fixture(scope="module")
def moody(fake, tmp_path_factory):
    """The report over endpoints in every mood, in one run: (report, folder)."""
    folder = tmp_path_factory.mktemp("moody")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        down = f"down=http://127.0.0.1:{closed.getsockname()[1]}/v1,{KEY},fake"
    kinds = ["good", "mute", "uncounted", "forgetful", "slow", "busy", "recovering", "garbage",
             "torn"]
    options = [word for kind in kinds for word in fake.option(kind)]
    options += fake.option("good", "twin")
    finish(start(folder / "page.md", "--only-endpoints", "--timeout", "2", *options,
                 "--endpoint", down))
    return Report(folder / "page.md"), folder


def test_a_good_endpoint_is_measured_whole_beside_bad_ones(moody):
    report, _ = moody
    assert report.chapters() == CHAPTERS
    assert not [key for key in report.missing if "/good" in key]
    assert "OpenAI's dialect" in report.offered("good")
    assert report.row("good | automatic")[2].startswith("100 %")
    assert report.row("temperature 1.3")[1] == "hit"
    assert report.row("first word changed")[1] == "miss"


@pytest.mark.parametrize("kind, reason", [
    ("down", "cannot be reached"), ("slow", "no answer within 2 s"), ("busy", "429"),
    ("garbage", "cannot be read"), ("torn", "reached|cannot be read")])
def test_an_endpoint_that_does_not_work_is_said_and_nothing_is_made_up(moody, kind, reason):
    report, _ = moody
    assert re.search(reason, report.offered(kind)), report.offered(kind)
    assert not [key for key in report.figures if f"/{kind}" in key]
    column = list(dict.fromkeys(re.findall(r"^- \*\*(\w+)\*\*", report.text, re.M))).index(kind) + 1
    assert report.row("Long prompts start up to 85 % sooner.")[column] == "–"


def test_two_names_of_one_server_do_not_warm_each_other(moody):
    report, _ = moody
    assert not [key for key in report.missing if "/twin" in key]
    assert report.row("twin | automatic") == ["twin", *report.row("good | automatic")[1:]]


def test_without_usage_times_are_measured_and_hits_are_not(moody):
    report, _ = moody
    assert "sends no usage" in report.offered("mute")
    assert any(key.startswith("first/mute/") for key in report.figures)
    assert not any(key.startswith("pressure/mute/") for key in report.figures)
    assert "mute: its replies have no usage" in report.text


def test_without_a_count_of_cached_tokens_there_is_no_hit_rate(moody):
    report, _ = moody
    assert report.row("uncounted | automatic")[2:] == ["–"] * 5
    assert "does not say how many tokens were cached" in report.text


def test_a_server_that_never_caches_has_no_hits(moody):
    report, _ = moody
    assert "no automatic caching seen" in report.offered("forgetful")
    assert report.row("forgetful | automatic")[2].startswith("0 %")


def test_a_short_429_is_waited_out(moody):
    report, _ = moody
    assert not [key for key in report.missing if "/recovering" in key]


def test_bad_endpoints_are_given_up_after_a_few_requests(moody, fake):
    assert fake.requests("slow") <= 3
    assert fake.requests("busy") <= 12


def test_no_figure_is_invented_and_no_key_is_written(moody):
    report, folder = moody
    assert not re.search(r"\b(nan|inf|None|Traceback)\b", report.text)
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {".png", ".svg", ".json", ".jsonl", ".md"} <= {path.suffix for path in written}
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def test_an_interrupted_run_keeps_its_figures_and_goes_on(fake, tmp_path):
    page, results = tmp_path / "page.md", tmp_path / "page.jsonl"
    options = ["--only-endpoints", "--timeout", "5", *fake.option("good")]
    first = start(page, *options)
    until = time.monotonic() + 60
    while not results.exists() or results.read_text().count("\n") < 8:
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=30)
    assert "--resume goes on" in said and not page.exists()
    with open(results, "a") as file:
        file.write('{"key": "first/good/128/')  # as a kill in the middle of a line leaves it
    lines = [json.loads(line) for line in results.read_text().splitlines()[1:-1]]
    kept = {line["key"]: line["value"] for line in lines}
    assert len(kept) >= 7
    finish(start(page, "--resume", *options))
    report = Report(page)
    assert {key: report.figures.get(key) for key in kept} == kept
    assert not report.missing


def test_a_wrong_endpoint_is_one_sentence(tmp_path):
    process = start(tmp_path / "page.md", "--only-endpoints", "--endpoint", "nonsense")
    said, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "--endpoint wants NAME=URL,KEY,MODEL" in said and "Traceback" not in said
