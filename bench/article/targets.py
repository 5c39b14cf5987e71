"""Whom a study asks: our own server and llama-server, started here as the sections need them, and
any other endpoint by its URL.

A profile names the memory and the lifetimes that a group of steps wants:

    plain     room for everything
    pressure  as many bytes of K and V as `sizes.pressure_tokens` tokens take; marks may hold 3/4
    pauses    lifetimes as they are by default, on a clock that can be moved; without one, 2 s
    promises  what nothing promises is dropped after a second, so that only marks keep anything
    bits      plain, and checksums of the logits in the replies
    first life, second life
              plain, over a folder that outlives the process; the first begins with an empty one

Other endpoints are what they are.
"""
import contextlib
import os
import re
import shutil

import programs
from article.endpoint import Endpoint
from stream import Server

SHORT_RETENTION_S = 2   # without a clock to move
ROOM = "1G"             # of K and V: 60,800 tokens of the default model
LIVES = ("first life", "second life")
LLAMA_SLOTS = 4
LLAMA_CONTEXT = 8_192 * LLAMA_SLOTS  # tokens; its store of idle conversations adds 8 GB by default


def kept_in(name, life):
    """The folder that outlives the process."""
    folder = programs.ROOT / "build/bench/lives" / name
    if life == LIVES[0]:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class OurServer:
    """Reprise. The test build, whose clock a request moves, makes pauses take no time."""

    name = "Reprise"
    takes_any_lifetime = True
    can_restart, keeps_by_itself = True, True

    def __init__(self, model, threads, timeout_s):
        self.model, self.threads, self.timeout_s = model, threads, timeout_s
        self.has_clock = programs.CLOCKED.exists()

    def described(self):
        return f"{self.model.name}, {self.threads} threads, started by the report"

    def _options(self, profile, study):
        if profile == "pressure":
            room = study.sizes.pressure_tokens * study.token_bytes
            # Marks may hold what the longest request leaves: the context is the other quarter.
            return ["--kv-memory", str(room), "--pin-memory", str(room * 3 // 4),
                    "--context", str(study.sizes.pressure_tokens // 4)]
        folder = kept_in("reprise", profile) if profile in LIVES else None
        more = {"promises": ["--retention", "1s"], "bits": ["--expose-logits-checksum"],
                **{life: ["--disk", str(folder), "--disk-size", ROOM] for life in LIVES},
                "pauses": ["--retention", "10m" if self.has_clock else f"{SHORT_RETENTION_S}s"]}
        return ["--kv-memory", ROOM, *more.get(profile, [])]

    @contextlib.contextmanager
    def serve(self, profile, study):
        clocked = self.has_clock and profile in ("pauses", "promises")
        with programs.start_reprise(
                f"reprise-{profile}".replace(" ", "-"), self.model, "--threads", str(self.threads),
                *self._options(profile, study),
                binary=programs.CLOCKED if clocked else programs.REPRISE) as running:
            pages = Server(running.url, self.timeout_s)

            def advance(seconds):
                pages.post("/test/clock", {"advance_ms": round(1000 * seconds)}).read()

            yield Endpoint(self.name, openai_url=running.url + "/v1", anthropic_url=running.url,
                           timeout_s=self.timeout_s, program=running, pages=pages,
                           move_clock=advance if clocked else None)


class LlamaServer:
    """llama-server. Under pressure its slots and its store of idle conversations get, together, the
    bytes that our server gets."""

    name = "llama-server"
    has_clock = False
    takes_any_lifetime = False
    can_restart, keeps_by_itself = True, False

    def __init__(self, model, threads, timeout_s):
        self.model, self.threads, self.timeout_s = model, threads, timeout_s

    def described(self):
        return f"{self.model.name}, {self.threads} threads, started by the report"

    @contextlib.contextmanager
    def serve(self, profile, study):
        options = ["-t", str(self.threads), "-np", "1" if profile in LIVES else str(LLAMA_SLOTS)]
        if profile in LIVES:
            options += ["-c", str(LLAMA_CONTEXT // LLAMA_SLOTS), "--slot-save-path",
                        str(kept_in("llama-server", profile))]
        elif profile == "pressure":
            slots = study.sizes.pressure_tokens // 2
            store = (study.sizes.pressure_tokens - slots) * study.token_bytes
            options += ["-c", str(slots), "--kv-unified", "--cache-ram", str(max(1, store >> 20))]
        else:
            options += ["-c", str(LLAMA_CONTEXT)]
        name = f"llama-{profile}".replace(" ", "-")
        with programs.start_llama(name, self.model, *options) as running:
            if profile == "second life":
                self._slot(running, "restore")
            yield Endpoint(self.name, openai_url=running.url + "/v1", anthropic_url=running.url,
                           timeout_s=self.timeout_s, program=running)
            if profile == "first life":
                self._slot(running, "save")

    def _slot(self, running, action):
        Server(running.url, self.timeout_s).post(f"/slots/0?action={action}", {"filename": "slot"}).read()


class Remote:
    """An endpoint from the command line: NAME=URL,KEY,MODEL.

    The URL is what OpenAI's client calls base_url; with "anthropic+" in front, what Anthropic's
    does. KEY may be env:VARIABLE. The key is never written anywhere.
    """

    has_clock = False
    takes_any_lifetime = False
    can_restart = False

    def __init__(self, text, timeout_s, budget_s):
        name, _, rest = text.partition("=")
        parts = rest.split(",")
        if not re.fullmatch(r"[\w.-]+", name) or len(parts) != 3 or not all(parts):
            raise ValueError(f"--endpoint wants NAME=URL,KEY,MODEL, not {text!r}")
        url, key, self.model = parts
        if key.startswith("env:"):
            key = os.environ.get(key[4:]) or _absent(key[4:])
        self.name, self.url = name, url
        where = {"anthropic_url": url.removeprefix("anthropic+")} if url.startswith("anthropic+") \
            else {"openai_url": url}
        self._endpoint = Endpoint(name, **where, key=key, model=self.model, timeout_s=timeout_s,
                                  budget_s=budget_s)

    def described(self):
        return f"{self.url}, model {self.model}"

    @contextlib.contextmanager
    def serve(self, *_):
        yield self._endpoint


def _absent(variable):
    raise ValueError(f"--endpoint: the environment has no {variable}")
