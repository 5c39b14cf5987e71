"""Every option of ours that deploy/ and the pages beside it name is one that the program has."""

import functools
import re
import subprocess

import pytest
import yaml

from api.conftest import BINARY, ROOT

OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")


@functools.cache
def known(command):
    done = subprocess.run([BINARY, command, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"reprise {command}: {done.stderr}"
    return set(re.findall(r"--[a-z][a-z-]*", done.stdout))


def of_units():
    for file in ("serve", "route"):
        unit = ROOT / "deploy/systemd" / {"serve": "reprise.service", "route": "reprise-route.service"}[file]
        yield file, unit.read_text() + (ROOT / f"deploy/systemd/{file}.env").read_text()


def of_manifests():
    for path in (ROOT / "deploy/kubernetes").glob("*.yaml"):
        for each in yaml.safe_load_all(path.read_text()):
            template = each.get("spec", {}).get("template", {}) if isinstance(each.get("spec"), dict) else {}
            for container in template.get("spec", {}).get("containers", ()):
                if container["image"] == "reprise":
                    command, *words = container["args"]
                    yield command, " ".join(words)


def of_commands(text):
    """Commands in a text's blocks of code: `reprise NAME …`, also in a container, up to the line's end; \\ goes on."""
    for block in re.findall(r"(?:^(?:    |# +).*\n)+", text, re.MULTILINE):
        block = re.sub(r"\\\n(?:#| )*", " ", block)
        for command, rest in re.findall(r"\breprise +(serve|route|pull|cache|inspect|simulate)\b(.*)", block):
            yield command, rest.split("  #")[0]


PAGES = ("README.md", "docs/deploy.md", "docs/gateway.md", "deploy/Containerfile")


def test_what_units_name_is_there(built):
    for command, text in of_units():
        assert set(OPTION.findall(text)) - {"--help"} <= known(command)


def test_what_manifests_name_is_there(built):
    found = list(of_manifests())
    assert sorted(command for command, _ in found) == ["route", "serve"]
    for command, text in found:
        assert OPTION.findall(text) and set(OPTION.findall(text)) <= known(command)


@pytest.mark.parametrize("page", PAGES)
def test_what_commands_name_is_there(built, page):
    found = list(of_commands((ROOT / page).read_text()))
    assert found
    for command, text in found:
        assert set(OPTION.findall(text)) <= known(command), text


def test_what_sentences_name_is_there(built):
    """`--option` in the text belongs to one of the commands."""
    named = set(re.findall(r"`(--[a-z][\w-]*)", (ROOT / "docs/deploy.md").read_text()))
    assert named <= known("serve") | known("route")


def test_what_is_missing_is_found():
    text = "Say\n\n    reprise serve --model A \\\n      --no-such B  # --not-this\n"
    ((command, rest),) = of_commands(text)
    assert command == "serve" and OPTION.findall(rest) == ["--model", "--no-such"]
