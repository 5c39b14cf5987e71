"""What a run consists of: steps, each one figure of one target, and the study that takes them.

A section plans groups of steps; all steps of a group run while the same servers are up. The study
starts the servers that a group still needs, takes its steps in their order, keeps each figure in
the results at once, and keeps the reason where there is none. What is in them is not measured
again.
"""
import contextlib
import dataclasses
import time
import typing

import tqdm

import programs
from article.endpoint import Endpoint, Trouble


DEFAULT_TOKEN_BYTES = 30 * 2 * 3 * 64 * 2  # the default model: layers, K and V, heads, dims, bytes


@dataclasses.dataclass(frozen=True)
class Step:
    """`work(endpoint)` gives the figure, as JSON; `requests`: how many it sends, for the progress
    bar."""

    key: str
    target: str
    requests: int
    work: typing.Callable[[Endpoint], typing.Any]


@dataclasses.dataclass(frozen=True)
class Group:
    """`profile` names what the servers are started with; see targets.py."""

    profile: str
    steps: list[Step]


class Study:
    """`targets`: name → target, in the order of the report's columns."""

    def __init__(self, targets, sizes, corpus, results):
        self.targets, self.sizes, self.corpus, self.results = targets, sizes, corpus, results
        self.nonce = results.nonce

    def text(self, tokens, endpoint, label, order=None):
        """A new document: behind a first line that no other run, server or `label` has, what `order`
        (default: this run and `label`) decides, the same for every server."""
        return self.corpus.document(tokens, f"{self.nonce} {endpoint.name} {label}",
                                    order or f"{self.nonce} {label}")

    @property
    def token_bytes(self):
        """K and V of one token, as our server says; both servers that are started here keep 16
        bits."""
        said = (self.offers(target).get("token_bytes") for target in self.targets)
        return next(filter(None, said), DEFAULT_TOKEN_BYTES)

    def offers(self, target):
        """What probing found; {} if it found nothing."""
        key = f"offers/{target}"
        return self.results[key] if key in self.results else {}

    def missing(self, prefix):
        """Why there are no figures below `prefix`, as a note for the report; "" if none are
        missing."""
        return "; ".join(self.results.reasons(prefix))

    def run(self, sections):
        """Yields nothing; every figure, or its reason, is in the results when it returns."""
        for section in sections:
            groups = section.plan(self)
            total = sum(step.requests for group in groups for step in group.steps)
            with tqdm.tqdm(total=total, desc=section.TITLE[:28].ljust(28), unit="req",
                           dynamic_ncols=True, mininterval=0.5, smoothing=0) as bar:
                for group in groups:
                    self._take(group, bar)

    def _take(self, group, bar):
        left = []
        for step in group.steps:
            if step.key in self.results:
                bar.update(step.requests)
            else:
                left.append(step)
        with contextlib.ExitStack() as stack:
            endpoints = {}
            for step in left:
                if step.target not in endpoints:
                    endpoints[step.target] = self._open(step.target, group.profile, stack, bar)
                done = bar.n
                self._measure(step, endpoints[step.target])
                bar.update(done + step.requests - bar.n)

    def _open(self, target, profile, stack, bar):
        """An endpoint, or the reason why there is none."""
        try:
            endpoint = stack.enter_context(
                self.targets[target].serve(profile, self))
        except programs.DidNotStart as error:
            return str(error)
        endpoint.marks = self.offers(target).get("marks")
        endpoint.on_reply = lambda: bar.update(1)
        return endpoint

    def _measure(self, step, endpoint):
        if isinstance(endpoint, str):
            self.results.fail(step.key, endpoint)
            return
        begin = time.monotonic()
        try:
            self.results.keep(step.key, step.work(endpoint), time.monotonic() - begin)
        except Trouble as trouble:
            self.results.fail(step.key, str(trouble))
