"""Prints the matrix of families: report.py [FILE], and puts it into FILE's block `families`. Each case
under --compute exact (its logits, and the 64 likeliest tokens after each of three prompts) and fast;
a number is the error as a share of its bound (comparison.py)."""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

import comparison
import page
from family_cases import GROUPS
from recording import Recording


def verdict(ratio):
    return f"{ratio:.2f}" if ratio <= 1 else f"**{ratio:.3g}**"


def row(case, folder):
    recording = Recording.load(case.name)
    model = pathlib.Path(folder) / "model.gguf"
    comparison.write_gguf(model, case.name, recording)
    try:
        exact = comparison.compare(model, recording, "exact")
        fast = comparison.compare(model, recording, "fast")
    except comparison.Refused as refused:
        reason = str(refused).removeprefix("dump_logits: ").split(", only:")[0]
        return f"| {case.name} | `{case.architecture}` | {case.shows} | not run: {reason} | | |"
    steps = sum(map(len, recording.continuations))
    right = steps - exact.wrong_tokens
    return (
        f"| {case.name} | `{case.architecture}` | {case.shows}"
        f" | {verdict(comparison.exact_ratio(recording, exact))} | {right}/{steps}"
        f" | {verdict(comparison.fast_ratio(recording, fast))} |"
    )


def main():
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for group, cases in GROUPS.items():
            lines += [f"\n**{group}**\n", "| case | architecture | shows | exact | tokens | fast |"]
            lines += ["|---|---|---|---:|---:|---:|"]
            for case in cases:
                lines.append(row(case, folder))
                print(lines[-1], flush=True)
    if len(sys.argv) > 1:
        page.replace_block(pathlib.Path(sys.argv[1]), "families", "\n".join(lines))


if __name__ == "__main__":
    main()
