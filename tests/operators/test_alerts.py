"""Each alert fires at series that are beyond its threshold, and not just below it: promtool's unit tests.

A case is (series of ten-second samples in promtool's notation, minutes after which to look). The rules themselves are those
of deploy/prometheus.
"""

import json
import subprocess

import pytest
import yaml

from scraper import DEPLOY, RULES, configuration

SERVER = 'job="reprise", instance="a"'
HOUR = 360  # samples
API = 'route="/v1/messages"'


def series(name, values, labels=""):
    return {"series": f"{name}{{{SERVER}{', ' + labels if labels else ''}}}", "values": values}


def tokens(prompt, share_before, share_after):
    """An hour of one share read, then another for twenty minutes; prompt tokens every ten seconds."""
    before, after = int(prompt * share_before), int(prompt * share_after)
    return [
        series("reprise_prompt_tokens_total", f"0+{prompt}x{HOUR + 120}"),
        series("reprise_read_tokens_total", f"0+{before}x{HOUR} {before * HOUR + after}+{after}x119"),
    ]


def blocks(automatic, evicted):
    return [
        series("reprise_cache_blocks", f"{automatic}x360", 'state="automatic"'),
        series("reprise_cache_blocks", "10x360", 'state="free"'),
        series("reprise_cache_evicted_blocks_total", f"0+{evicted}x360"),
    ]


def pinned(held, reserved):
    return [
        series("reprise_cache_pinned_blocks", f"{held}x360"),
        series("reprise_cache_reserved_blocks", f"{reserved}x360"),
        series("reprise_cache_pin_capacity_blocks", "100x360"),
    ]


def queue(below, beyond):
    """Of ten requests, so many within five seconds and so many in ten."""
    both = below + beyond
    return [
        series("reprise_queue_time_seconds_bucket", f"0+{count}x360", f'le="{bound}"')
        for bound, count in (("2.5", below), ("5", below), ("10", both), ("+Inf", both))
    ]


def requests(good, failed):
    found = [series("reprise_http_requests_total", f"0+{good}x360", f'{API}, status="200"')]
    if failed:
        found.append(series("reprise_http_requests_total", f"0+{failed}x360", f'{API}, status="500"'))
    # What a probe asks is no request, and neither hides faults nor is one.
    found.append(series("reprise_http_requests_total", "0+1000x360", 'route="/health", status="200"'))
    return found


def flat(name, value, labels=""):
    return [series(name, f"{value}x360", labels)]


def router_up(value):
    return [{"series": 'up{job="reprise-router", instance="a"}', "values": f"{value}x360"}]


def expected(prompt, read):
    return [
        series("reprise_router_expected_tokens_total", f"0+{prompt}x360"),
        series("reprise_router_read_tokens_total", f"0+{read}x360"),
    ]


def busy(most, others):
    """Ten-second shares of three replicas in which each had a request."""
    return [
        series("reprise_router_replica_busy_seconds_total", f"0+{share}x540", f'replica="{name}"')
        for name, share in (("x", most), ("y", others), ("z", others))
    ]


# alert: (fires, does not fire, minutes, labels beside the server's)
CASES = {
    "RepriseDown": (flat("up", 0), flat("up", 1), 5, {}),
    "RepriseReadShareFell": (tokens(1000, 0.8, 0.2), tokens(1000, 0.8, 0.4), 78, {}),
    "RepriseCacheThrashes": (blocks(290, 10), blocks(310, 10), 30, {}),
    "ReprisePinnedMemoryFull": (pinned(80, 11), pinned(80, 10), 15, {}),
    "ReprisePromisesRefused": (
        [series("reprise_cache_promises_refused_total", "0x30 1x330")],
        flat("reprise_cache_promises_refused_total", 3),
        10,
        {},
    ),
    "RepriseQueueGrows": (
        flat("reprise_requests_waiting", 1),
        [series("reprise_requests_waiting", "9x50 0 9x300")],
        10,
        {},
    ),
    "RepriseFirstTokenQueued": (queue(94, 6), queue(96, 4), 20, {}),
    "RepriseRequestsFail": (requests(94, 6), requests(96, 4), 15, {}),
    "RepriseStoreFaults": (
        [series("reprise_tier_failures_total", "0x30 1x330", 'tier="disk", kind="checksum"')],
        flat("reprise_tier_failures_total", 5, 'tier="disk", kind="checksum"'),
        10,
        {"tier": "disk"},
    ),
    "RepriseDiskFull": (
        flat("reprise_disk_promised_bytes", 91) + flat("reprise_disk_capacity_bytes", 100),
        flat("reprise_disk_promised_bytes", 90) + flat("reprise_disk_capacity_bytes", 100),
        15,
        {},
    ),
    "RepriseSharedStoreAway": (flat("reprise_shared_stores_away", 1), flat("reprise_shared_stores_away", 0), 5, {}),
    "RepriseUnauthorizedBurst": (
        [series("reprise_http_unauthorized_total", "0+11x360")],
        [series("reprise_http_unauthorized_total", "0+9x360")],
        15,
        {},
    ),
    "RepriseRouterDown": (router_up(0), router_up(1), 5, {"job": "reprise-router"}),
    "RepriseReplicaAway": (
        flat("reprise_router_replicas", 1, 'state="dead"'),
        flat("reprise_router_replicas", 0, 'state="dead"') + flat("reprise_router_replicas", 3, 'state="live"'),
        10,
        {},
    ),
    "RepriseRouterRefuses": (
        [series("reprise_router_refused_total", "0x30 1x330")],
        flat("reprise_router_refused_total", 3),
        10,
        {},
    ),
    "RepriseRepliesBroken": (
        [series("reprise_router_broken_replies_total", "0x30 1x330")],
        flat("reprise_router_broken_replies_total", 3),
        10,
        {},
    ),
    "RepriseLessReadThanExpected": (expected(1000, 790), expected(1000, 810), 50, {}),
    "RepriseFleetUneven": (busy(9, 2), busy(6, 2), 80, {}),
}
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def promtool(folder, name, input_series, minutes, fires, labels):
    rule = ALERTS[name]
    expected = {
        "exp_labels": {"job": "reprise", "instance": "a", **labels, **rule["labels"]},
        "exp_annotations": rule["annotations"],
    }
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "10s",
                "input_series": input_series,
                "alert_rule_test": [
                    {"eval_time": f"{minutes}m", "alertname": name, "exp_alerts": [expected] if fires else []}
                ],
            }
        ],
    }
    file = folder / "alerts.test.yml"
    file.write_text(json.dumps(test))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_and_gives_a_reason():
    assert set(CASES) == set(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"].keys() == {"summary", "reason"}, name
        assert rule["labels"]["severity"] in ("warning", "critical")


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_beyond_its_threshold(tmp_path, name):
    beyond, _, minutes, labels = CASES[name]
    promtool(tmp_path, name, beyond, minutes, True, labels)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_is_silent_just_below_its_threshold(tmp_path, name):
    _, below, minutes, labels = CASES[name]
    promtool(tmp_path, name, below, minutes, False, labels)


def test_few_tokens_say_nothing_of_the_share(tmp_path):
    promtool(tmp_path, "RepriseReadShareFell", tokens(100, 0.8, 0.2), 78, False, {})


def test_few_tokens_say_nothing_of_what_was_expected(tmp_path):
    promtool(tmp_path, "RepriseLessReadThanExpected", expected(100, 10), 50, False, {})


def test_an_idle_fleet_is_not_uneven(tmp_path):
    promtool(tmp_path, "RepriseFleetUneven", busy(0.9, 0.2), 80, False, {})


def test_rules_and_the_example_are_good_configuration(tmp_path):
    (tmp_path / "key").write_text("secret")
    adapted = tmp_path / "prometheus.yml"
    adapted.write_text(configuration(8080, 8090, tmp_path / "key", 1))
    for words in (["rules", RULES], ["config", DEPLOY / "prometheus/prometheus.yml"], ["config", adapted]):
        done = subprocess.run(["promtool", "check", *words], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout + done.stderr
    scraped = yaml.safe_load(adapted.read_text())["scrape_configs"]
    assert [each["job_name"] for each in scraped] == ["reprise", "reprise-router"]
    assert all(each["authorization"]["type"] == "Bearer" for each in scraped)
