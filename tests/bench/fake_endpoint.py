"""A fake OpenAI-compatible endpoint that plays well-behaved and ill-behaved servers, one a path.

    /good/v1       caches by prefix, counts what it read, honours breakpoints
    /mute/v1       sends no usage
    /uncounted/v1  sends usage without a count of cached tokens
    /forgetful/v1  counts, and never caches
    /slow/v1       answers after SLOW_S
    /busy/v1       always 429
    /recovering/v1 429 with Retry-After for its first two requests, then as /good
    /garbage/v1    200 and a page of HTML
    /torn/v1       breaks off in the middle of a stream

A token is a word. Sampled replies are random, greedy ones repeat.
"""
import http.server
import json
import random
import threading
import time

SLOW_S = 30
KEY = "a-key-that-nobody-may-see"


class State:
    """What one path has seen."""

    def __init__(self):
        self.prompts, self.requests, self.lock = [], 0, threading.Lock()

    def lookup(self, words):
        """Tokens of the longest prefix seen before, one short of the whole; then remembers."""
        with self.lock:
            longest = max((_common(words, seen) for seen in self.prompts), default=0)
            self.prompts.append(words)
        return min(longest, len(words) - 1)


def _common(a, b):
    n = 0
    for x, y in zip(a, b):
        if x != y:
            break
        n += 1
    return n


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        kind = self.path.split("/")[1]
        state = self.server.states.setdefault(kind, State())
        with state.lock:
            state.requests += 1
            number = state.requests
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if kind == "slow":
            time.sleep(SLOW_S)
        if kind == "busy" or (kind == "recovering" and number <= 2):
            self._send(429, {"error": {"message": "too many", "type": "rate"}},
                       {"Retry-After": "0.2"})
            return
        if kind == "garbage":
            self._raw(200, b"<html>hello</html>", "text/html")
            return
        self._answer(kind, state, body)

    def _answer(self, kind, state, body):
        text = json.dumps([[m["role"], _text(m)] for m in body["messages"]])
        words = text.split()
        read = 0 if kind == "forgetful" else state.lookup(words)
        marked = any(isinstance(m["content"], list) for m in body["messages"])
        details = {"cached_tokens": read, "cache_write_tokens": len(words) - read if marked else 0}
        usage = {"prompt_tokens": len(words), "completion_tokens": 4,
                 "total_tokens": len(words) + 4, "prompt_tokens_details": details}
        if kind == "uncounted":
            del usage["prompt_tokens_details"]
        if kind == "mute":
            usage = None
        greedy = body.get("temperature", 1) == 0
        reply = "a fine reply" if greedy else f"reply {random.random()}"
        head = {"id": "x", "created": 0, "model": "fake"}
        choice = {"index": 0, "finish_reason": "stop"}
        if not body.get("stream"):
            self._send(200, {**head, "object": "chat.completion", "usage": usage, "choices": [
                {**choice, "message": {"role": "assistant", "content": reply}}]})
            return
        chunk = {**head, "object": "chat.completion.chunk"}
        events = [{**chunk, "choices": [{"index": 0, "delta": {"content": reply}}]},
                  {**chunk, "choices": [{**choice, "delta": {}}]}]
        if usage:
            events.append({**chunk, "choices": [], "usage": usage})
        payload = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        if kind == "torn":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"data: {\"choices\": [")
            self.close_connection = True
            return
        self._raw(200, payload.encode(), "text/event-stream")

    def _send(self, status, body, headers=None):
        self._raw(status, json.dumps(body).encode(), "application/json", headers)

    def _raw(self, status, body, kind, headers=None):
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # a client that gave up


def _text(message):
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


class FakeEndpoint:
    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.states = {}
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def requests(self, kind):
        state = self.server.states.get(kind)
        return state.requests if state else 0

    def option(self, kind, name=None):
        return ["--endpoint", f"{name or kind}={self.url}/{kind}/v1,{KEY},fake"]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
