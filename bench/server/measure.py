#!/usr/bin/env python3
"""Measures a server: cold against warm, by length and by workload. Standard library only.

usage: bench/server/measure.py [--url URL] [--repeats N] [--write FILE]

Without --url it starts build/release/src/app/reprise on the default model and a free port, and stops
it afterwards. Prints Markdown; --write puts it, with machine and commit, into FILE.
"""
import argparse
import concurrent.futures
import http.client
import json
import pathlib
import platform
import random
import re
import statistics
import subprocess
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build/release/src/app/reprise"
MODEL = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
SOURCE = pathlib.Path("/usr/share/common-licenses/GPL-3")
PARAGRAPHS = re.split(r"\n\s*\n", SOURCE.read_text())


def prose(characters, seed):
    """Real paragraphs in a random order: never seen before, and still text."""
    order = random.Random(seed).sample(PARAGRAPHS, len(PARAGRAPHS))
    return f"Document {seed}.\n\n" + "\n\n".join(order)[:characters]


class Server:
    def __init__(self, url):
        parsed = urllib.parse.urlparse(url)
        self.host, self.port = parsed.hostname, parsed.port

    def chat(self, messages, max_tokens=1, **more):
        """One streamed greedy request: text, usage, seconds to the first and last text, pauses."""
        body = dict(model="default", messages=messages, max_tokens=max_tokens, temperature=0,
                    stream=True, stream_options={"include_usage": True}, **more)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=900)
        begin = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", json.dumps(body),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {response.read(400)!r}")
        times = []  # of each piece of text
        text, usage = "", {}
        for line in response:
            if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                continue
            event = json.loads(line[6:])
            usage = event.get("usage") or usage
            for choice in event["choices"]:
                piece = choice["delta"].get("content")
                if piece or choice.get("finish_reason"):
                    times.append(time.perf_counter() - begin)
                text += piece or ""
        connection.close()
        return {"text": text, "first": times[0], "last": times[-1], "prompt": usage["prompt_tokens"],
                "reply": usage["completion_tokens"],
                "pauses": [b - a for a, b in zip(times, times[1:])],
                "read": usage["prompt_tokens_details"]["cached_tokens"]}


def messages(document, question):
    return [{"role": "system", "content": document}, {"role": "user", "content": question}]


def median_ms(values):
    return f"{1e3 * statistics.median(values):,.0f}"


def time_to_first_token(server, repeats, progress):
    yield "| prompt tokens | cold, ms | other question, ms | same again, ms | read | tokens/s cold |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for characters in (2_000, 8_500, 17_000, 32_000):
        cold, warm, same = [], [], []
        for i in range(repeats):
            document = prose(characters, random.getrandbits(40))
            cold.append(server.chat(messages(document, "What is this about?")))
            warm.append(server.chat(messages(document, "Who wrote it, and when?")))
            same.append(server.chat(messages(document, "Who wrote it, and when?")))
            progress(f"{characters} characters, {i + 1} of {repeats}")
        tokens = statistics.median(r["prompt"] for r in cold)
        read = sum(r["read"] for r in warm) / sum(r["prompt"] for r in warm)
        speed = statistics.median(r["prompt"] / r["first"] for r in cold)
        yield (f"| {tokens:,.0f} | {median_ms([r['first'] for r in cold])} "
               f"| {median_ms([r['first'] for r in warm])} | {median_ms([r['first'] for r in same])} "
               f"| {100 * read:.1f} % | {speed:,.0f} |")


def decode(server, repeats, progress):
    def stream(i):
        return server.chat(messages(prose(300, i), "Tell me a long story."), 128, ignore_eos=True)

    yield "| streams | tokens/s in all |"
    yield "|---:|---:|"
    for streams in (1, 8):
        rates = []
        for i in range(repeats):
            with concurrent.futures.ThreadPoolExecutor(streams) as pool:
                begin = time.perf_counter()
                replies = list(pool.map(stream, range(streams)))
                seconds = time.perf_counter() - begin
            if streams == 1:  # without the prompt
                rates.append((replies[0]["reply"] - 1) / (replies[0]["last"] - replies[0]["first"]))
            else:
                rates.append(sum(r["reply"] for r in replies) / seconds)
            progress(f"{streams} streams, {i + 1} of {repeats}")
        yield f"| {streams} | {statistics.median(rates):,.0f} |"


def workloads(server, progress):
    yield "| workload | result |"
    yield "|---|---|"
    same = 0
    for i in range(8):
        asked = messages(prose(4_000, f"exact {i}"), "Explain.")
        same += server.chat(asked, 48)["text"] == server.chat(asked, 48)["text"]
        progress(f"exact, {i + 1} of 8")
    yield f"| greedy reply the same cold and warm | {same} of 8 |"

    documents = [prose(7_000, f"tenant {i}{time.time()}") for i in range(24)]
    read = total = 0
    for turn in range(3):
        for document in documents:
            reply = server.chat(messages(document, f"Question {turn}?"))
            if turn:
                read, total = read + reply["read"], total + reply["prompt"]
        progress(f"24 documents in turn, round {turn + 1} of 3")
    yield f"| 24 documents asked in turn: share of prompt tokens read | {100 * read / total:.1f} % |"

    talk = [{"role": "system", "content": prose(3_500, f"turns {time.time()}")}]
    known, again = 0, []
    for turn in range(8):
        talk.append({"role": "user", "content": prose(800, f"turn {turn}{time.time()}")})
        reply = server.chat(talk, 60)
        talk.append({"role": "assistant", "content": reply["text"]})
        if turn:
            again.append(known - reply["read"])
        known = reply["prompt"] + reply["reply"]
        progress(f"conversation, turn {turn + 1} of 8")
    yield f"| conversation of 8 turns: known tokens computed again, a turn | at most {max(again)} |"

    document = prose(15_000, f"shared {time.time()}")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda i: server.chat(
            messages(document, f"Question number {i}, please?"), 32, ignore_eos=True), range(8)))
    computed = sum(r["prompt"] - r["read"] for r in replies)
    yield (f"| 8 requests at once on one new document: prompt tokens computed | {computed:,} "
           f"({computed / replies[0]['prompt']:.2f} × one prompt) |")

    progress("a stream beside a long prompt")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(server.chat, messages(prose(300, "beside"), "Tell me a story."), 160,
                                ignore_eos=True)
        time.sleep(0.5)
        server.chat(messages(prose(32_000, f"beside {time.time()}"), "What is this about?"))
        pauses = sorted(1e3 * pause for pause in streaming.result()["pauses"])
    yield (f"| a stream beside a new prompt of 7,000 tokens: pause between tokens, median / longest "
           f"| {statistics.median(pauses):.0f} / {pauses[-1]:.0f} ms |")


def measure(server, repeats):
    def progress(what):
        print(f"  {what}", flush=True)

    sections = [("Time to first token", time_to_first_token(server, repeats, progress)),
                ("Decode", decode(server, repeats, progress)),
                ("Workloads", workloads(server, progress))]
    lines = []
    for title, rows in sections:
        print(title, flush=True)
        lines += [f"## {title}", "", *rows, ""]
    return "\n".join(lines)


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    cores = len([line for line in open("/proc/cpuinfo") if line.startswith("processor")])
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True).stdout.strip()
    return f"{cpu}, {cores} cores; commit {commit}; {time.strftime('%Y-%m-%d')}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a running server; default: start our own")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    process = None
    url = options.url
    if url is None:
        process = subprocess.Popen([BINARY, "serve", "--model", MODEL, "--port", "0", "-q"],
                                   stdout=subprocess.PIPE, text=True)
        url = process.stdout.readline().split()[-1]
    try:
        report = measure(Server(url), options.repeats)
    finally:
        if process is not None:
            process.terminate()
            process.wait()
    page = (f"# Measurements\n\nWritten by `bench/server/measure.py --repeats {options.repeats} "
            f"--write docs/measurements.md`; medians.\nSmolLM2-135M-Instruct, Q4_1, over HTTP on the "
            f"same machine.\n\n{machine()}\n\n{report}")
    print("\n" + report)
    if options.write:
        options.write.write_text(page)


if __name__ == "__main__":
    main()
