"""Every query of the dashboard and every rule, asked of a Prometheus that scrapes a server with traffic."""

import json
import math
import re

import pytest
import yaml

from scraper import DEPLOY, RULES

DASHBOARD = json.loads((DEPLOY / "grafana/reprise.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
VARIABLES = {"$__rate_interval": "60s", "$instance": ".*"}


def substituted(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_no_query_of_a_panel_is_wrong_or_empty(watched, panel):
    for target in panel["targets"]:
        found = watched.prometheus.query(substituted(target["expr"]))
        assert any(math.isfinite(value) for _, value in found), f"{target['expr']}: {found}"
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert all(label in labels for labels, _ in found), f"the legend wants {label}: {found}"


def test_panels_have_units_and_say_what_they_show():
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    names = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    assert names == {"datasource": "datasource", "instance": "query"}


def test_the_share_read_is_what_the_cache_page_says(watched):
    tokens = watched.server.ask("GET", "/cache", headers={"x-api-key": "key-of-ops"})[2]
    tokens = json.loads(tokens)["tokens"]
    watched.prometheus.wait_for(f"reprise_prompt_tokens_total == {tokens['prompt']}")
    (_, share), = watched.prometheus.query("reprise_read_tokens_total / reprise_prompt_tokens_total")
    assert share == pytest.approx(tokens["read"] / tokens["prompt"])


def test_the_router_expects_what_is_read(watched):
    """Of prompts that came again, known by their replica's own events."""
    (_, share), = watched.prometheus.query("reprise_router_expected_tokens_total / reprise_router_prompt_tokens_total")
    assert share > 0.3
    (_, kept), = watched.prometheus.query("reprise_router_read_tokens_total / reprise_router_expected_tokens_total")
    assert kept > 0.8


def test_every_recording_rule_has_data(watched):
    for rule in rules_of(watched, "recording"):
        assert watched.prometheus.query(rule["query"]), rule["query"]


def test_every_alert_has_data_and_none_fires_in_health(watched):
    alerts = rules_of(watched, "alerting")
    assert len(alerts) == len(ALERTS)
    for rule in alerts:
        for operand in operands(ALERTS[rule["name"]]):
            assert watched.prometheus.query(operand), f"{rule['name']}: no data of {operand}"
        assert watched.prometheus.query(rule["query"]) == [], f"{rule['name']} fires in health"


def rules_of(watched, kind):
    groups = watched.prometheus.get("/api/v1/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"] if rule["type"] == kind]
    for rule in rules:
        assert rule["health"] in ("ok", "unknown"), rule  # unknown: not evaluated yet
    return rules


def operands(expression):
    """What an alert's expression compares, each without its comparison."""
    for condition in re.split(r"\nand\n", expression.strip()):
        left, right = re.fullmatch(r"(.*) (?:==|<|>) (.*?)", condition.strip(), re.DOTALL).groups()
        yield left
        if not re.fullmatch(r"[\d.]+", right):
            yield right
