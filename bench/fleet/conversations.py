"""Conversations about shared documents, as bench/fleet/steps.py and other_engines.py ask them of servers in several ways."""
import concurrent.futures
import pathlib
import random
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench/server")]
import page
from measure import prose
from servers import about, ask

SHORT = 6_000  # characters of a document: about 1,350 tokens
CLIENTS, DOCUMENTS, CONVERSATIONS, TURNS = 2, 10, 20, 4


def milliseconds(values):
    return f"{1e3 * statistics.median(values):,.0f} ms"


def percent(share):
    return f"{100 * share:.1f} %"


def share(rows):
    return sum(row["read"] for row in rows) / sum(row["prompt"] for row in rows)


def conversations(seed, urls):
    """People talk about shared documents, a turn of this one and a turn of that one, in an order drawn by `seed`; the
    next URL of `urls` each time. The requests' rows."""
    draw = random.Random(seed)
    texts = [prose(SHORT, draw.getrandbits(40)) for _ in range(DOCUMENTS)]
    talks = [about(draw.choice(texts), f"I am reader {i}. What is it about?") for i in range(CONVERSATIONS)]
    order = [i for i in range(CONVERSATIONS) for _ in range(TURNS)]
    draw.shuffle(order)

    def talk(mine):
        rows = []
        for i in mine:
            row = ask(next(urls), talks[i], max_tokens=12)
            rows.append(row)
            talks[i] += [{"role": "assistant", "content": row["text"]}, {"role": "user", "content": f"And part {len(talks[i])}?"}]
        return rows

    # Each conversation is one client's, so that its turns follow one another.
    parts = [[i for i in order if i % CLIENTS == client] for client in range(CLIENTS)]
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return [row for rows in pool.map(talk, parts) for row in rows]


class InTurn:
    """An iterator of `urls`, round and round; any thread."""

    def __init__(self, *urls):
        self._urls, self._next, self._lock = urls, 0, threading.Lock()

    def __next__(self):
        with self._lock:
            self._next += 1
            return self._urls[self._next % len(self._urls)]


def compare(names, way, repeats, progress):
    """{name: [(share read, seconds to the first token, seconds in all) of each run]}; `way(name)` is a context in which its
    URLs are asked in turn. Within a run each way gets the same conversations."""
    found = {name: [] for name in names}
    for i in range(repeats):
        seed = random.getrandbits(40)
        for name, runs in found.items():
            progress(f"{i + 1} of {repeats}: {name}")
            with way(name) as urls:
                begin = time.perf_counter()
                rows = conversations(seed, InTurn(*urls))
                runs.append((share(rows), statistics.median(row["seconds"] for row in rows), time.perf_counter() - begin))
    return found


def compared(what, found):
    """The lines of a table of medians."""
    return page.table(
        [f"{CONVERSATIONS} conversations about {DOCUMENTS} documents, {what}", "read of the prompts", "first token, median",
         "all of it"],
        [[name, percent(statistics.median(run[0] for run in runs)), milliseconds([run[1] for run in runs]),
          f"{statistics.median(run[2] for run in runs):,.1f} s"] for name, runs in found.items()], right=(1, 2, 3))
