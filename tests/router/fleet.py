"""Several servers and their router, what can happen to them, and requests whose bytes are watched as they come."""

import contextlib
import http.client
import json
import threading

from api.conftest import Router, Server, fleet_token, wait_until

BLOCK = 32  # tokens


class Fleet:
    """`replicas`: servers; `router`: what stands before them; `key`: an administrator's, where they have keys. A
    replica's name is its address, as the router has it."""

    def __init__(self, replicas, *options, router=(), model=True, key=None):
        self.options, self.key, self.model = options, key, model
        self.replicas = [self._start() for _ in range(replicas)]
        self.ended = []
        more = {} if model else {"model": None}
        self.router = Router([each.port for each in self.replicas], *router, **more)
        self.wait_for_states("live", replicas)

    def _start(self, *more):
        return Server("--fleet-token", fleet_token(), *self.options, *more, behind="")

    def fleet(self):
        return self.router.fleet(self.key)

    def names(self):
        return [name_of(each) for each in self.replicas]

    def named(self, name):
        return next(each for each in self.replicas if name_of(each) == name)

    def states(self):
        """{name: state}, as the router sees them."""
        return {each["name"]: each["state"] for each in self.fleet()["replicas"]}

    def page(self, replica):
        """What GET /fleet has of a replica."""
        return next(each for each in self.fleet()["replicas"] if each["name"] == name_of(replica))

    def wait_for_states(self, state, count):
        """Until that many are in that state; of live ones the router also knows what they hold."""
        def there():
            found = [each for each in self.fleet()["replicas"] if each["state"] == state]
            known = [each for each in found if state != "live" or each["followed"] or not self.model]
            return len(known) == count
        wait_until(there, f"{count} replicas are {state}: {self.fleet()}")

    def kill(self, replica):
        replica.process.kill()
        replica.process.wait()
        self._put_aside(replica)

    def terminate(self, replica):
        """Tells it to stop; it may take its time."""
        replica.process.terminate()

    def await_end(self, replica):
        assert replica.process.wait(timeout=120) == 0, "".join(replica.log[-20:])
        self._put_aside(replica)

    def _put_aside(self, replica):
        self.replicas.remove(replica)
        self.ended.append(replica)

    def restart(self, replica):
        """The same once more, where it was."""
        self.ended.remove(replica)
        self.replicas.append(self._start("--port", replica.port))
        return self.replicas[-1]

    def settle(self):
        """Until no replica has anything to do and the router has heard what they hold."""
        for each in self.replicas:
            wait_until(lambda: self._idle(each), f"{name_of(each)} has nothing to do", 120)
        self.wait_heard()

    def _idle(self, replica):
        status, _, page = replica.ask("GET", "/cache", headers={"x-api-key": self.key} if self.key else {})
        assert status == 200, page
        return not any(json.loads(page)["requests"].values())

    def wait_heard(self):
        """Until the router knows as many blocks of each replica as that has in memory."""
        def heard():
            return all(self.page(each)["blocks"]["memory"] == len(told(each)["memory"]) for each in self.replicas)
        wait_until(heard, "the router knows what the replicas hold")

    def stop(self):
        try:
            self.router.stop()
        finally:
            for each in self.replicas:
                each.stop()


def name_of(replica):
    return f"127.0.0.1:{replica.port}"


def told(replica):
    """What it holds now, by its own GET /cache/events: {place: names of blocks}."""
    return wait_until(
        lambda: told_once(replica), "who followed before has gone, which is seen when they are told something"
    )


def told_once(replica):
    """None: too many follow."""
    connection = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=60)
    with contextlib.closing(connection):
        token = fleet_token().read_text().strip()
        connection.request("GET", "/cache/events", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        if response.status == 429:
            return None
        assert response.status == 200, response.read()
        holds, missing, name = {}, None, None
        while missing is None or missing:
            field, _, value = response.readline().decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name == "hello":
                missing = set(json.loads(value)["places"])
                holds = {place: set() for place in missing}
            elif field == "data" and name == "blocks":
                change = json.loads(value)
                held = holds[change["place"]]
                for run in change["stored"]:
                    held.update(run["blocks"])
                held.difference_update(change["removed"])
                if change.get("snapshot") in ("end", "whole"):
                    missing.discard(change["place"])
        return holds


class Reply:
    """One request on a connection of its own, read by a thread as it comes: `began` is set with the first bytes of the
    body, `ended` at the end; `error` is what went wrong on the way."""

    def __init__(self, port, path, body, headers=None):
        self.path, self.body = path, body
        self.status, self.headers, self.error = None, {}, None
        self.text = b""
        self.began, self.ended = threading.Event(), threading.Event()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            self._connection.request("POST", self.path, json.dumps(self.body), self._headers)
            response = self._connection.getresponse()
            self.status, self.headers = response.status, response.headers
            while piece := response.read1(65536):
                self.text += piece
                self.began.set()
        except (OSError, http.client.HTTPException) as error:
            self.error = error
        finally:
            self._connection.close()
            self.began.set()
            self.ended.set()

    @property
    def streamed(self):
        return bool(self.body.get("stream"))

    @property
    def replica(self):
        return self.headers.get("x-reprise-replica")

    def wait(self):
        assert self.ended.wait(300), f"{self.path} has not ended"
        return self

    def json(self):
        return json.loads(self.text)

    def events(self):
        """(name, data) of each event of a stream; half of one at the end fails the test."""
        text = self.text.decode()
        assert text.endswith("\n\n"), f"half an event at the end: {text[-200:]!r}"
        found = []
        for event in text.removesuffix("\n\n").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
            if "data" in fields:
                found.append((fields.get("event"), fields["data"]))
        return found

    def broken_off(self):
        """Whether this stream ends with its vendor's error event."""
        name, data = self.events()[-1]
        if self.path == "/v1/messages":
            return name == "error" and json.loads(data)["type"] == "error"
        return data != "[DONE]" and "error" in json.loads(data)

    def whole(self):
        """Whether it answers to its end."""
        if self.error or self.status != 200:
            return False
        if not self.streamed:
            return bool(self.json())
        name, data = self.events()[-1]
        return name == "message_stop" if self.path == "/v1/messages" else data == "[DONE]"

    def said(self):
        """The reply's text; prompt tokens, and those of them that were read, as the vendor's usage has them."""
        assert self.whole(), self
        read = _read_messages if self.path == "/v1/messages" else _read_chat
        return read([json.loads(data) for _, data in self.events() if data != "[DONE]"] if self.streamed
                    else self.json())

    def __repr__(self):
        return f"{self.path} from {self.replica}: {self.status}, {self.error!r}, {self.text[-400:]!r}"


def _read_chat(reply):
    if isinstance(reply, list):
        usage = next(event["usage"] for event in reversed(reply) if event.get("usage"))
        text = "".join(choice["delta"].get("content") or "" for event in reply for choice in event["choices"])
    else:
        usage, text = reply["usage"], reply["choices"][0]["message"]["content"]
    return text, usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def _read_messages(reply):
    if isinstance(reply, list):
        usage = next(event["message"]["usage"] for event in reply if event["type"] == "message_start")
        deltas = [event["delta"] for event in reply if event["type"] == "content_block_delta"]
        text = "".join(delta.get("text", "") for delta in deltas)
    else:
        usage, text = reply["usage"], "".join(part["text"] for part in reply["content"])
    read = usage["cache_read_input_tokens"]
    return text, usage["input_tokens"] + usage["cache_creation_input_tokens"] + read, read
