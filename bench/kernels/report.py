#!/usr/bin/env python3
"""Writes the tables of kernels, each beside its yardstick in the same run, and of where the time of a
cold prompt goes, into docs/measurements.md.

usage: bench/kernels/report.py [--no-write]

Standard library only. Builds the `bench` preset first, and needs Debian's libbenchmark-dev and
libdnnl-dev, and perf for the second table (left as it is where perf may not count). Run it on a quiet
machine: other programs take memory bandwidth that no ratio gives back.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import page
import programs
from corpus import Corpus
from stream import Server

BENCH = ROOT / "build/bench/bench/kernels/kernel_bench"
PAGE = ROOT / "docs/measurements.md"
TYPES = ("Q4_1", "Q4_0", "Q5_0", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q6_K", "IQ2_S", "IQ4_XS", "MXFP4",
         "BF16")
# Shapes of the feed-forward, inputs × outputs, of the default model and of Llamas of 1B and 8B.
SHAPES = {"135M": "576x1536", "1B": "2048x8192", "8B": "4096x14336"}


def build():
    if not (ROOT / "build/bench/build.ninja").exists():
        subprocess.run(["cmake", "--preset", "bench"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", ROOT / "build/bench", "kernel_bench", "reprise"], check=True,
                   stdout=subprocess.DEVNULL)


def run(pattern):
    """{name without what google-benchmark appends: counters}"""
    command = [BENCH, f"--benchmark_filter={pattern}", "--benchmark_format=json"]
    # The yardsticks' idle threads must not spin into our turns.
    done = subprocess.run(command, check=True, capture_output=True, text=True,
                          env={**os.environ, "GOMP_SPINCOUNT": "1000"})
    return {re.sub(r"/(iterations:\d+/)?manual_time$", "", each["name"]): each
            for each in json.loads(done.stdout)["benchmarks"]}


def ratio(counters, yardstick):
    return f"{counters[f'x_{yardstick}']:.2f}" if counters else "–"


def products():
    yield "Products of 512 rows: our rate by oneDNN's, bf16 / int8."
    yield ""
    found = run("^product/.*/rows:512")
    rows = [[f"{model}, {shape.replace('x', ' × ')}"] + [
        " / ".join(ratio(found.get(f"product/{model}/{shape}/{kind}/rows:512"), yardstick)
                   for yardstick in ("onednn_bf16", "onednn_int8")) for kind in TYPES]
        for model, shape in SHAPES.items()]
    yield from page.table(["inputs × outputs", *TYPES], rows, range(1, 1 + len(TYPES)))


def decode():
    shapes = "|".join(f"{model}/{shape}" for model, shape in SHAPES.items())
    found = run(f"^decode/({shapes})/.*/rows:(1|8)/")

    def table(cell):
        rows = [[f"{model}, {shape.replace('x', ' × ')}"] +
                [cell(f"decode/{model}/{shape}/{kind}/rows:") for kind in TYPES]
                for model, shape in SHAPES.items()]
        return page.table(["inputs × outputs", *TYPES], rows, range(1, 1 + len(TYPES)))

    def eight_by_one(name):
        one, eight = found.get(name + "1"), found.get(name + "8")
        return f"{8 * eight['GBs'] / one['GBs']:.1f}" if one and eight else "–"

    yield "Products of one row: bytes of packed weights a second, by the memory's reading."
    yield ""
    yield from table(lambda name: ratio(found.get(name + "1"), "memory"))
    yield ""
    yield "Products of eight rows, as eight streams need them: rows a second by those of one row."
    yield ""
    yield from table(eight_by_one)


def attention():
    yield ("Attention: one row at 8k tokens of context, by the memory's reading; 512 "
           "rows, by oneDNN's bf16 product of as many operations; sixteen sequences behind "
           "one prefix in one call, by the same one by one.")
    yield ""
    found = run("^attention/(decode/.*/avx512/8192|prefill512/.*/avx512/8192|shared16/.*/avx512/8192)")
    rows = [[model, ratio(found.get(f"attention/decode/{model}/avx512/8192"), "memory"),
             ratio(found.get(f"attention/prefill512/{model}/avx512/8192"), "onednn_bf16"),
             ratio(found.get(f"attention/shared16/{model}/avx512/8192"), "one_by_one")]
            for model in SHAPES]
    yield from page.table(["heads of", "one row", "512 rows", "16 behind one prefix"], rows, (1, 2, 3))


# What symbols of the program do, by the beginning of their names.
PARTS = {
    "products with packed weights": r"DirectBlock|UnpackedBlock|UnpackRun|QuantizedTile|Bf16|MatMul|Multiply",
    "attention: scores, q · K": r"Scores<|AllScores",
    "attention: weighted sum of V": r"Values<|AllValues",
    "attention: softmax": r"::Attend\b|Combine\b|LoadQueries|RunItem|Softmax",
    "rounding activations, q and K to int8": r"QuantizeRow|RoundRow|Activations::Put|QuantizeQuery|StoreKey",
    "norm, rotary embedding, activation, sums": r"Norm|Rotate|SwiGlu|AddSlice|StoreRow|Rope",
    "the system: pages of the arena touched for the first time, scheduling": r"\[k\]",
}


def profile(tokens=3_700, prompts=4):
    data = ROOT / "build/bench/perf.data"
    with programs.start_reprise("profile", programs.MODEL, "--kv-memory", "2G",
                                binary=ROOT / "build/bench/src/app/reprise") as program:
        perf = subprocess.Popen(["perf", "record", "-q", "-F", "499", "-o", data, "-p",
                                 str(program.pid)], stderr=subprocess.DEVNULL)
        server, corpus = Server(program.url), Corpus()
        for i in range(prompts):
            text = corpus.document(tokens, f"profile {i}")
            server.chat([{"role": "user", "content": text}], 1)
        perf.send_signal(2)
        perf.wait()
    report = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children"],
                            capture_output=True, text=True).stdout
    shares = dict.fromkeys([*PARTS, "everything else"], 0.0)
    for line in report.splitlines():
        found = re.match(r"\s+(\d+\.\d+)%\s", line)
        if found:
            part = next((p for p, names in PARTS.items() if re.search(names, line)), "everything else")
            shares[part] += float(found.group(1))
    if not any(shares.values()):
        return None
    lines = [f"`perf` on {prompts} cold prompts of about {tokens:,} tokens, one after another.", ""]
    rows = [(part, f"{share:.1f} %") for part, share in
            sorted(shares.items(), key=lambda item: -item[1])]
    return "\n".join(lines + list(page.table(["processor time", "share"], rows, (1,))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    build()
    kernels = f"## Kernels\n\nWritten by `bench/kernels/report.py`. {page.machine()}\n"
    for section in (products, decode, attention):
        print(f"  {section.__name__}", flush=True)
        kernels += "\n" + "\n".join(section()) + "\n"
    print(kernels)
    if not options.no_write:
        page.replace_block(PAGE, "kernels", kernels)
    where = profile()
    print(where or "  perf counted nothing")
    if where and not options.no_write:
        page.replace_block(PAGE, "profile", "## Where the time of a cold prompt goes\n\nWritten by "
                           f"`bench/kernels/report.py`. {page.machine()}\n\n{where}")


if __name__ == "__main__":
    main()
