"""What CONTRIBUTING.md and docs/ name is there: paths, stages of ./test, and tests by their names."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDES = ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/style.md"]
# The first folder or the ending tells a path from other code; builds and what is made are not in the tree.
PATH = re.compile(r"`((?:src|tests|bench|bridge|docs|tools)/[\w./{},-]*|[\w.-]+\.(?:md|txt))`")
CPP_TEST = re.compile(r"`((?:\w+/)?\w+_test\.cc)::(\w+)`")


def missing_paths(text):
    """Those named in `text` that are not in the tree. a.{h,cc} names two."""
    missing = []
    for path in PATH.findall(text):
        braces = re.search(r"\{([\w,]+)\}", path)
        endings = braces.group(1).split(",") if braces else [""]
        for ending in endings:
            whole = path.replace(braces.group(0), ending) if braces else path
            if not (ROOT / whole).exists():
                missing.append(whole)
    return missing


def missing_stages(text):
    script = (ROOT / "test").read_text()
    return [stage for stage in re.findall(r"`\./test (\w+)`", text)
            if stage != "STAGE" and f"\nstage_{stage}() " not in script]


def missing_tests(text):
    sources = {path: path.read_text() for path in (ROOT / "tests").rglob("*_test.cc")}
    missing = []
    for name, test in CPP_TEST.findall(text):
        among = [source for path, source in sources.items() if path.as_posix().endswith("/" + name)]
        if not any(re.search(rf"\bTEST(_F|_P)?\(\w+,\s*{test}\)", source) for source in among):
            missing.append(f"{name}::{test}")
    return missing


@pytest.mark.parametrize("guide", GUIDES)
def test_paths_are_there(guide):
    planned = {"src/vendor/responses/CMakeLists.txt", "tests/vendor/responses/"}  # an example
    assert set(missing_paths((ROOT / guide).read_text())) - planned == set()


@pytest.mark.parametrize("guide", GUIDES)
def test_stages_are_there(guide):
    assert missing_stages((ROOT / guide).read_text()) == []


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_tests_behind_rules_are_there(page):
    assert missing_tests((ROOT / "docs" / page).read_text()) == []


def test_what_is_missing_is_found():
    assert missing_paths("`src/base/no.h` `src/base/log.{h,no}` `NO.md` `src/base/log.h`") == [
        "src/base/no.h", "src/base/log.no", "NO.md"]
    assert missing_stages("`./test unit` `./test nothing`") == ["nothing"]
    assert missing_tests("`scope_test.cc::No`") == ["scope_test.cc::No"]
