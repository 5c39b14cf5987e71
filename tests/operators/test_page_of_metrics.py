"""/metrics as Prometheus' own checker wants it."""

import re
import subprocess

from api.conftest import OPS


def page_of(watched):
    status, headers, page = watched.server.ask("GET", "/metrics", headers={"x-api-key": OPS})
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return page.decode()


def test_promtool_has_nothing_to_say(watched):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page_of(watched), capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_each_family_has_one_head_and_its_samples_follow(watched):
    families, family = set(), None
    for line in page_of(watched).splitlines():
        if found := re.fullmatch(r"# HELP (\w+) (.+\.)", line):
            family = found.group(1)
            assert family not in families
            families.add(family)
        elif line.startswith("#"):
            assert re.fullmatch(rf"# TYPE {family} (counter|gauge|histogram)", line), line
        else:
            assert re.match(rf"{family}(_bucket|_sum|_count)?[{{ ]", line), line
            assert family.startswith(("reprise_", "process_"))


def test_the_page_says_which_build_and_which_process(watched):
    page = page_of(watched)
    model = watched.server.ask("GET", "/", headers={"Accept": "application/json"})[2].decode()
    name = re.search(r'"model":"([^"]+)"', model).group(1)
    build = re.search(r'^reprise_build_info\{version="([\d.]+)",commit="\w+(?:-dirty)?",model="(.+)"\} 1$', page, re.M)
    assert build and build.group(2) == name
    start = float(re.search(r"^process_start_time_seconds (\S+)$", page, re.M).group(1))
    age = float(subprocess.check_output(["ps", "-o", "etimes=", "-p", str(watched.server.process.pid)]))
    now = float(subprocess.check_output(["date", "+%s"]))
    assert abs(now - age - start) < 3


def test_requests_are_in_the_histograms(watched):
    page = page_of(watched)

    def value(series):
        return float(re.search(rf"^reprise_{re.escape(series)} (\S+)$", page, re.M).group(1))

    prompts = value("prompt_length_tokens_count")
    assert prompts == value("prompt_read_ratio_count") == value("queue_time_seconds_count") > 0
    first = value('time_to_first_token_seconds_count{cache="hit"}') + value(
        'time_to_first_token_seconds_count{cache="miss"}'
    )
    assert first == prompts
    assert value("prompt_length_tokens_sum") <= value("prompt_tokens_total")  # background fills too
    assert 0 < value("read_tokens_total") < value("prompt_tokens_total")
