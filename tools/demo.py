#!/usr/bin/env python3
"""Asks a running server two questions about one long document, and shows what the cache saved.

usage: ./run demo [--host H] [--port N]
"""
import argparse
import http.client
import json
import pathlib
import sys
import time

DOCUMENTS = ["/usr/share/common-licenses/GPL-3", "LICENSE"]
QUESTIONS = ["In one sentence: what is this document?", "What does it say about warranty?"]
BYTES = 24_000  # about 5,300 tokens, so that it fits a context of 8,192 with a reply


def ask(host, port, document, question):
    """One streamed request: the reply, its usage, and seconds to the first piece of text."""
    body = {
        "messages": [{"role": "system", "content": document}, {"role": "user", "content": question}],
        "max_tokens": 48, "temperature": 0, "stream": True, "stream_options": {"include_usage": True},
    }
    connection = http.client.HTTPConnection(host, port, timeout=600)
    begin = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body),
                       {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(f"demo: the server answered {response.status}: {response.read().decode()[:400]}")
    first, text, usage = None, "", None
    for line in response:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        event = json.loads(line[6:])
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            piece = choice["delta"].get("content")
            if piece:
                first = first or time.perf_counter() - begin
                text += piece
    connection.close()
    return text, usage, first or time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    path = next(p for p in map(pathlib.Path, DOCUMENTS) if p.exists())
    # The first line makes it a document that the server has never seen.
    document = f"Read on {time.ctime()}.\n{path.read_text()[:BYTES]}"
    print(f"{path} ({len(document):,} characters), two questions and the first one again\n")
    rows = []
    for name, question in (("cold", QUESTIONS[0]), ("warm", QUESTIONS[1]), ("again", QUESTIONS[0])):
        try:
            text, usage, first = ask(options.host, options.port, document, question)
        except OSError as error:
            sys.exit(f"demo: no server at {options.host}:{options.port} ({error}); start one with ./run")
        print(f"{question}\n  {' '.join(text.split())}\n")
        rows.append((name, usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"],
                     1e3 * first))
    print(f"{'':7}{'prompt tokens':>15}{'read from cache':>18}{'time to first token':>22}")
    for name, prompt, read, ms in rows:
        print(f"{name:7}{prompt:>15,}{read:>18,}{ms:>19,.0f} ms")
    cold, warm = rows[0][3], rows[1][3]
    print(f"\nThe second question began {cold / warm:.0f} times sooner.")


if __name__ == "__main__":
    main()
