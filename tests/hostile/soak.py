"""A soak: clients of two tenants stream, abort, mark, flush and send rubbish at a server with a tiny cache,
while its keys are read again; at the end its books must balance and its memory must be flat.

    .venv/bin/python tests/hostile/soak.py [--seconds 600] [--binary build/release/src/app/reprise]

With a thread-sanitized binary (build/thread/src/app/reprise) a race is an error.
"""

import argparse
import collections
import contextlib
import http.client
import json
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
CLIENTS = 8
RETENTION_S = 2
KEYS = "key-a acme/main\nkey-b zenith/main\nkey-ops ops/main admin\n"
WORDS = "the prompt of a request is read once and kept for those that begin alike".split()


class Soak:
    def __init__(self, binary, folder, threads):
        self.keys = pathlib.Path(folder) / "keys"
        self.write_keys(0)
        command = [
            binary, "serve", "--model", MODEL, "--port", 0, "--api-keys", self.keys,
            "--kv-memory", "24M", "--pin-memory", "8M", "--context", 512, "--retention", f"{RETENTION_S}s",
            "--request-memory", "64M", "--drain", "1s", "--threads", threads,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.errors, self.log = [], []
        threading.Thread(target=self._read_log, daemon=True).start()
        self.port = int(re.search(r":(\d+)$", self.process.stdout.readline().strip()).group(1))
        self.done = collections.Counter()
        self.stopping = threading.Event()

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line)
            if " E " in line or "WARNING: ThreadSanitizer" in line:
                self.errors.append(line)

    def write_keys(self, turn):
        new = self.keys.with_suffix(".new")
        new.write_text(KEYS + f"key-{turn} acme/main\n")
        new.chmod(0o600)
        new.replace(self.keys)

    def ask(self, method, path, body=None, key="key-ops"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            headers = {"x-api-key": key, "Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def raw(self, path, body, key):
        body = json.dumps(body).encode()
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nx-api-key: {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
        return connection

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    # -- What clients do ------------------------------------------------------------------------------

    def chat(self, chance, **more):
        """One of twenty beginnings, and words of its own."""
        beginning = f"Document {chance.randrange(20)}. " + " ".join(WORDS * 6)
        end = " ".join(chance.choices(WORDS, k=chance.randrange(1, 20)))
        messages = [{"role": "user", "content": beginning + end}]
        return {"messages": messages, "max_tokens": chance.randrange(1, 24), **more}

    def whole(self, chance, key):
        return self.ask("POST", "/v1/chat/completions", self.chat(chance, n=chance.choice([1, 1, 2])), key)

    def marked(self, chance, key):
        body = self.chat(chance)
        text = body["messages"][0]["content"]
        mark = {"type": "ephemeral", "ttl": f"{chance.randrange(1, 4)}s"}
        body["messages"][0]["content"] = [{"type": "text", "text": text, "cache_control": mark}]
        return self.ask("POST", "/v1/messages", body, key)

    def stream(self, chance, key, most=1 << 30):
        with contextlib.closing(self.raw("/v1/chat/completions", self.chat(chance, stream=True), key)) as raw:
            received = b""
            while len(received) < most and b"[DONE]" not in received:
                piece = raw.recv(chance.choice([100, 4096]))
                if not piece:
                    break
                received += piece
            return int(received.split()[1]) if received else 0, b""

    def abort(self, chance, key):
        return self.stream(chance, key, most=chance.choice([0, 0, 1, 500, 2000]))

    def half_closed(self, chance, key):
        with contextlib.closing(self.raw("/v1/chat/completions", self.chat(chance), key)) as raw:
            raw.shutdown(socket.SHUT_WR)
            received = b""
            while piece := raw.recv(65536):
                received += piece
            last = received.rsplit(b"HTTP/1.1 ", 1)[1]
            return int(last[:3]), b""

    def abandoned_text(self, chance, key):
        with contextlib.closing(self.raw("/tokenize", {"content": "a" * 300_000}, key)) as raw:
            raw.settimeout(chance.choice([0.01, 5]))
            with contextlib.suppress(TimeoutError):
                raw.recv(100)
        return 0, b""

    def rubbish(self, chance, key):
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.port), timeout=10)) as raw:
            raw.sendall(bytes(chance.choices(range(256), k=200)) + b"\r\n\r\n")
            with contextlib.suppress(OSError):
                raw.recv(1000)
        return 0, b""

    def look(self, chance, key):
        page = chance.choice(["/cache", "/cache/requests", "/health", "/v1/models"])
        return self.ask("GET", page, key=key)

    def flush(self, chance, key):
        return self.ask("DELETE", "/cache")

    def client(self, seed):
        chance = random.Random(seed)
        deeds = [self.whole, self.marked, self.stream, self.abort, self.half_closed, self.abandoned_text,
                 self.rubbish, self.look, self.flush]  # fmt: skip
        weights = [4, 4, 4, 6, 2, 1, 1, 2, 0.2]
        while not self.stopping.is_set():
            (deed,) = chance.choices(deeds, weights)
            try:
                status, reply = deed(chance, chance.choice(["key-a", "key-b"]))
            except OSError as failure:
                status, reply = type(failure).__name__, b""
            self.done[f"{deed.__name__} {status}"] += 1
            if status in (500, 401):
                self.errors.append(f"{deed.__name__}: {status} {reply[:200]}")

    # -- The soak -------------------------------------------------------------------------------------

    def run(self, seconds):
        threads = [threading.Thread(target=self.client, args=(seed,)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        resident = []
        begin = time.monotonic()
        turn = 0
        while time.monotonic() - begin < seconds and self.process.poll() is None:
            time.sleep(1)
            turn += 1
            self.write_keys(turn)
            self.process.send_signal(signal.SIGHUP)
            resident.append(self.resident_mib())
        self.stopping.set()
        for thread in threads:
            thread.join()
        return resident

    def books(self):
        """Once all has ended and every promise has: what is still held that should not be."""
        until = time.monotonic() + 60
        while True:
            page = json.loads(self.ask("GET", "/cache")[1])
            held = {name: page["blocks"][name] for name in ("private", "leased", "pinned", "reserved", "cached")}
            held |= page["requests"]
            if not any(held.values()) or time.monotonic() > until:
                balanced = page["blocks"]["free"] == page["blocks"]["total"]
                return {name: count for name, count in held.items() if count}, balanced
            time.sleep(0.2)


def run(binary, seconds, threads=0, growth_mib=24):
    """The report, and a list of what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(binary, folder, threads)
        resident = soak.run(seconds)
        wrong = list(soak.errors)
        if soak.process.poll() is None:
            held, balanced = soak.books()
            if held or not balanced:
                wrong.append(f"held at the end: {held}, all blocks free: {balanced}")
            soak.process.terminate()
        code = soak.process.wait(60)
        if code != 0:
            wrong.append(f"the server ended with {code}")
    third = len(resident) // 3
    early, late = max(resident[:third]), max(resident[-third:])
    if late > early + growth_mib:
        wrong.append(f"memory grew from {early:.0f} to {late:.0f} MiB")
    report = {
        "seconds": seconds,
        "resident_mib": {"first third": round(early), "last third": round(late)},
        "requests": dict(sorted(soak.done.items(), key=str)),
    }
    return report, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--binary", default=ROOT / "build/release/src/app/reprise")
    parser.add_argument("--threads", type=int, default=0, help="of each operation; 0: all cores")
    parser.add_argument("--growth-mib", type=int, default=24, help="that memory may grow by; a sanitizer's own grows")
    options = parser.parse_args()
    report, wrong = run(options.binary, options.seconds, options.threads, options.growth_mib)
    print(json.dumps(report, indent=2))
    for each in wrong:
        print("WRONG:", each)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
