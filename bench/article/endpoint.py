"""One server under measurement, asked through its vendor's official client.

An endpoint speaks OpenAI's dialect, Anthropic's, or both. `ask` gives a Reply or raises a Trouble
whose text is the reason that the report shows for the missing figure. Nothing here waits without a
bound: a request has a deadline, a 429 is obeyed a few times and for so long, and an endpoint that
fails again and again is given up, so that the rest of the report does not wait for it. What a
server does not report is None in a Reply, never 0.
"""
import dataclasses
import math
import threading
import time

import anthropic
import openai

ATTEMPTS = 4         # of one request, while the answer is 429
LONGEST_WAIT_S = 30  # that a Retry-After is obeyed for
PATIENCE_S = 120     # of waiting in all, an endpoint
FAILURES = 3         # in a row, then the endpoint is given up


class Trouble(Exception):
    """Why a figure is missing, in words for the report."""


class Refused(Trouble):
    """The server understood and said no (400): asking otherwise may work."""


class GivenUp(Trouble):
    """The endpoint is not asked any more."""


@dataclasses.dataclass(frozen=True)
class Message:
    """`mark`: the lifetime of a cache marker at the message's end, such as "5m"; None: no
    marker."""

    role: str
    text: str
    mark: str | None = None


@dataclasses.dataclass
class Reply:
    """Times are seconds from sending; `first` is None in a whole reply. Counts are tokens."""

    text: str = ""
    first: float | None = None
    total: float = 0.0
    prompt: int | None = None
    read: int | None = None
    write: int | None = None
    output: int | None = None
    checksum: str | None = None

    def hit(self, of=None):
        """Whether nine tenths of `of` tokens (default: the prompt) were read. Trouble if
        unknown."""
        if self.prompt is None:
            raise Trouble("the reply has no usage")
        if self.read is None:
            raise Trouble("usage does not say how many tokens were cached")
        return self.read >= 0.9 * (self.prompt if of is None else of)


class Endpoint:
    """`openai_url` and `anthropic_url`: base URLs as the clients want them; at least one.

    `marks` is the dialect in which cache markers take effect ("openai", "anthropic" or None), set
    by whoever probed it. All requests together may take `budget_s`. `program` is the child process
    behind it and `pages` plain HTTP to it, if we started it; `move_clock(seconds)` lets time go by
    where the server has a clock for that.
    """

    def __init__(self, name, *, openai_url=None, anthropic_url=None, key="none", model="default",
                 timeout_s=300, budget_s=math.inf, program=None, pages=None, move_clock=None):
        self.name, self.model, self.timeout_s = name, model, timeout_s
        self.openai_url, self.anthropic_url, self.key = openai_url, anthropic_url, key
        self.program, self.pages, self.move_clock = program, pages, move_clock
        self.marks = None
        self.given_up = None
        self.on_reply = lambda: None
        self._failures, self._patience_s = 0, PATIENCE_S
        self._budget_s = self._budget_left_s = budget_s
        self._limit_field, self._takes_temperature = "max_tokens", True
        self._connect()

    def _connect(self):
        options = dict(api_key=self.key, max_retries=0, timeout=self.timeout_s)
        if self.openai_url:
            self._openai = openai.OpenAI(base_url=self.openai_url, **options)
        if self.anthropic_url:
            self._anthropic = anthropic.Anthropic(base_url=self.anthropic_url, **options)

    @property
    def dialects(self):
        urls = {"openai": self.openai_url, "anthropic": self.anthropic_url}
        return [dialect for dialect, url in urls.items() if url]

    def pause(self, seconds, since=None):
        """Until `seconds` after `since` (time.monotonic(); default: now), when a lifetime began."""
        if self.move_clock:
            self.move_clock(seconds)
            return
        left = seconds - (time.monotonic() - since if since else 0)
        if left < 0:
            raise Trouble(f"its answer took longer than the pause of {seconds:g} s")
        time.sleep(left)

    # -- Asking --------------------------------------------------------------------------------

    def ask(self, messages, max_tokens=1, dialect=None, stream=True, **parameters):
        """Greedy unless `parameters` say otherwise. Marked messages need `marks`."""
        if any(message.mark for message in messages):
            if not (dialect or self.marks):
                raise Trouble("it offers no cache markers")
            dialect = dialect or self.marks
        dialect = dialect or self.dialects[0]
        for _ in range(ATTEMPTS):
            if self._budget_left_s <= 0 and not self.given_up:
                minutes = self._budget_s / 60
                self.given_up = f"given up: its {minutes:g} minutes were spent (--budget)"
            if self.given_up:
                raise GivenUp(self.given_up)
            begin = time.monotonic()
            try:
                reply = self._within_deadline(messages, max_tokens, dialect, stream, parameters)
            except Exception as error:  # whatever a client makes of a broken server is a reason
                self._judge(error)
                continue
            finally:
                self._budget_left_s -= time.monotonic() - begin
            self._failures = 0
            self.on_reply()
            return reply
        self._fail("it went on answering 429 (overloaded)")

    def _within_deadline(self, *request):
        """Clients time out on silence only; a stream that drips for ever is left alone here."""
        outcome = []

        def run():
            try:
                outcome.append((self._ask_once(*request), None))
            except Exception as error:
                outcome.append((None, error))

        asking = threading.Thread(target=run, daemon=True)
        asking.start()
        asking.join(self.timeout_s)
        if not outcome:
            self._connect()
            raise TimeoutError
        reply, error = outcome[0]
        if error:
            raise error
        return reply

    def _ask_once(self, messages, max_tokens, dialect, stream, parameters):
        ask = self._ask_openai if dialect == "openai" else self._ask_anthropic
        return ask(messages, max_tokens, stream, parameters)

    # -- What went wrong -----------------------------------------------------------------------

    def _judge(self, error):
        """Returns to try again; raises the Trouble otherwise."""
        status = getattr(error, "status_code", None)
        said = " ".join(str(getattr(error, "message", error)).split())[:160]
        if status in (429, 529):
            self._wait(error)
        elif status == 400 and self._adapt(said):
            pass
        elif status in (401, 403, 404):
            self.given_up = f"it answers {status}: {said}"
            raise GivenUp(self.given_up)
        elif status and 400 <= status < 500:
            raise Refused(f"it answers {status}: {said}")
        elif isinstance(error, (TimeoutError, openai.APITimeoutError, anthropic.APITimeoutError)):
            self._fail(f"no answer within {self.timeout_s:g} s")
        elif isinstance(error, (openai.APIConnectionError, anthropic.APIConnectionError)):
            self._fail("it cannot be reached")
        else:
            self._fail(f"it answers {status}: {said}" if status else
                       f"its answer cannot be read ({type(error).__name__}: {said})")

    def _fail(self, reason):
        self._failures += 1
        if self._failures >= FAILURES:
            self.given_up = f"given up after {FAILURES} failures in a row: {reason}"
            raise GivenUp(self.given_up)
        raise Trouble(reason)

    def _wait(self, error):
        """Obeys Retry-After (seconds), within bounds."""
        try:
            wait_s = float(error.response.headers.get("retry-after", 2))
        except (AttributeError, ValueError):
            wait_s = 2
        wait_s = min(max(wait_s, 0.1), LONGEST_WAIT_S, self._patience_s)
        if self._patience_s <= 0:
            self._fail(f"it answers 429 (overloaded) beyond {PATIENCE_S} s of waiting in all")
        self._patience_s -= wait_s
        time.sleep(wait_s)

    def _adapt(self, said):
        """Newer models know another name of the limit, or no temperature."""
        if "max_completion_tokens" in said and self._limit_field == "max_tokens":
            self._limit_field = "max_completion_tokens"
        elif "temperature" in said and self._takes_temperature:
            self._takes_temperature = False
        else:
            return False
        return True

    # -- OpenAI ----------------------------------------------------------------------------------

    def _ask_openai(self, messages, max_tokens, stream, parameters):
        body = {self._limit_field: max_tokens, "temperature": 0, **parameters}
        if not self._takes_temperature:
            body.pop("temperature")
        if stream:
            body["stream_options"] = {"include_usage": True}
        begin = time.perf_counter()
        answer = self._openai.chat.completions.create(
            model=self.model, messages=[_openai_message(m) for m in messages], stream=stream,
            extra_body=body)
        reply = Reply()
        for event in answer if stream else [answer]:
            _take_openai_usage(reply, event.usage)
            for choice in event.choices or ():
                said = choice.delta if stream else choice.message
                piece = said.content or ""
                if stream and reply.first is None and (piece or choice.finish_reason):
                    reply.first = time.perf_counter() - begin
                reply.text += piece
                reply.checksum = (choice.model_extra or {}).get("logits_checksum") or reply.checksum
        reply.total = time.perf_counter() - begin
        if stream and reply.first is None:
            raise ValueError("the stream ended without a token")
        return reply

    # -- Anthropic -------------------------------------------------------------------------------

    def _ask_anthropic(self, messages, max_tokens, stream, parameters):
        system = [_anthropic_block(m) for m in messages if m.role == "system"]
        body = {"temperature": 0, **parameters}
        if not self._takes_temperature:
            body.pop("temperature")
        begin = time.perf_counter()
        answer = self._anthropic.messages.create(
            model=self.model, max_tokens=max_tokens, stream=stream, system=system, extra_body=body,
            messages=[{"role": m.role, "content": [_anthropic_block(m)]}
                      for m in messages if m.role != "system"])
        reply = Reply()
        if not stream:
            _take_anthropic_usage(reply, answer.usage)
            reply.text = "".join(block.text for block in answer.content if block.type == "text")
            reply.total = time.perf_counter() - begin
            return reply
        for event in answer:
            if event.type == "message_start":
                _take_anthropic_usage(reply, event.message.usage)
            elif event.type in ("content_block_delta", "message_delta"):
                if reply.first is None:
                    reply.first = time.perf_counter() - begin
                reply.text += getattr(event.delta, "text", None) or ""
                if event.type == "message_delta" and event.usage:
                    reply.output = event.usage.output_tokens
        reply.total = time.perf_counter() - begin
        if reply.first is None:
            raise ValueError("the stream ended without a token")
        return reply


def _openai_message(message):
    if not message.mark:
        return {"role": message.role, "content": message.text}
    mark = {"mode": "explicit", "ttl": message.mark}
    part = {"type": "text", "text": message.text, "prompt_cache_breakpoint": mark}
    return {"role": message.role, "content": [part]}


def _anthropic_block(message):
    block = {"type": "text", "text": message.text}
    if message.mark:
        block["cache_control"] = {"type": "ephemeral", "ttl": message.mark}
    return block


def _take_openai_usage(reply, usage):
    if not usage:
        return
    details = getattr(usage, "prompt_tokens_details", None)
    reply.prompt = getattr(usage, "prompt_tokens", None)
    reply.output = getattr(usage, "completion_tokens", None)
    reply.read = getattr(details, "cached_tokens", None)
    reply.write = getattr(details, "cache_write_tokens", None)


def _take_anthropic_usage(reply, usage):
    """Anthropic's counts are disjoint: the prompt is their sum."""
    if not usage or getattr(usage, "input_tokens", None) is None:
        return
    reply.read = getattr(usage, "cache_read_input_tokens", None)
    reply.write = getattr(usage, "cache_creation_input_tokens", None)
    reply.prompt = usage.input_tokens + (reply.read or 0) + (reply.write or 0)
    reply.output = getattr(usage, "output_tokens", None)
