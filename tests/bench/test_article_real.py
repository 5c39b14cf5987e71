"""`./run bench --quick` against the real server: what the article says is so."""
import pytest

from report_run import BINARY, CHAPTERS, Report, finish, start


def test_the_articles_sentences_hold_on_the_real_server(tmp_path):
    if not BINARY.exists():
        pytest.skip(f"{BINARY} has not been built")
    finish(start(tmp_path / "page.md", "--without-peers", "--timeout", "120"))
    report = Report(tmp_path / "page.md")
    assert report.chapters() == CHAPTERS and not report.missing
    explicit, automatic = report.row("Reprise | explicit"), report.row("Reprise | automatic")
    assert [explicit[i].split(" (")[0] for i in (2, 3, 5)] == ["100 %"] * 3
    assert not automatic[3].startswith("100 %") and not automatic[5].startswith("100 %")
    for name, outcome in report.figures["parameter/Reprise/0"].items():
        assert outcome is (name != "first word changed"), name
    assert all(run["cold"] > run["warm"] for key, run in report.figures.items()
               if key.startswith("first/Reprise/1200/"))
    for key, run in report.figures.items():
        if key.startswith("greedy/"):
            assert run == {"same": True, "hit": True, "same_bits": True}
        if key.startswith("refresh/"):
            assert run == [True] * 6 + [False]
    assert len(set(report.figures["varied/Reprise"]["texts"])) > 1
    before, after = (report.figures[f"restart/Reprise/0/{life}"] for life in ("first", "second"))
    assert after["first"] < before["first"] / 2 and after["read"] > 0.9 * after["prompt"]
