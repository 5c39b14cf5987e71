"""Blocks told over ZeroMQ (serve --kv-events), read as readers of vLLM's events do: structs of msgspec whose fields
are those that vLLM documents for its kv_events (msgpack, tagged by the event's name), and sockets of pyzmq. What they
come to is compared with GET /cache/events, which tells the same in its own form.
"""

import contextlib
import json
import re
import socket
import subprocess
import time
from typing import Any, Optional, Union

import msgspec
import pytest
import zmq
from conftest import BINARY, ROOT

BLOCK = 32
PATIENCE_MS = 120_000  # for a message that must come, however loaded the machine


class BlockStored(msgspec.Struct, omit_defaults=True, tag=True):
    block_hashes: list[Union[int, bytes]]
    parent_block_hash: Optional[Union[int, bytes]]
    token_ids: list[int]
    block_size: int
    lora_id: Optional[int]
    medium: Optional[str]
    lora_name: Optional[str]
    extra_keys: Optional[list[Any]] = None


class BlockRemoved(msgspec.Struct, omit_defaults=True, tag=True):
    block_hashes: list[Union[int, bytes]]
    medium: Optional[str]


class AllBlocksCleared(msgspec.Struct, omit_defaults=True, tag=True):
    pass


class EventBatch(msgspec.Struct, array_like=True, omit_defaults=True):
    ts: float
    events: list[Union[BlockStored, BlockRemoved, AllBlocksCleared]]
    data_parallel_rank: Optional[int] = None


def before_0_24(event):
    """The same struct as vLLM had it: an array whose first element names the event."""
    return msgspec.defstruct(event.__name__, [], bases=(event,), array_like=True, tag=True)


ARRAYS = Union[before_0_24(BlockStored), before_0_24(BlockRemoved), before_0_24(AllBlocksCleared)]
OldEventBatch = msgspec.defstruct(
    "OldEventBatch",
    [("ts", float), ("events", list[ARRAYS]), ("data_parallel_rank", Optional[int], None)],
    array_like=True,
)
DECODERS = {"map": msgspec.msgpack.Decoder(EventBatch), "array": msgspec.msgpack.Decoder(OldEventBatch)}
END = (-1).to_bytes(8, "big", signed=True)


class Fold:
    """What a reader knows: each block's parent and tokens."""

    def __init__(self):
        self.blocks = {}
        self.cleared = 0

    def apply(self, batch):
        assert batch.data_parallel_rank == 0
        assert abs(batch.ts - time.time()) < 3600
        assert batch.events
        for event in batch.events:
            if isinstance(event, BlockStored):
                self.store(event)
            elif isinstance(event, BlockRemoved):
                for name in event.block_hashes:
                    del self.blocks[name]  # told before, and not twice
            else:
                assert not self.blocks  # they were removed one by one before
                self.cleared += 1

    def store(self, event):
        assert event.block_size == BLOCK
        assert len(event.token_ids) == BLOCK * len(event.block_hashes)
        assert event.medium is None and event.lora_id is None and event.lora_name is None
        parent = event.parent_block_hash
        for i, name in enumerate(event.block_hashes):
            assert parent is None or parent in self.blocks
            assert name not in self.blocks
            self.blocks[name] = (parent, tuple(event.token_ids[BLOCK * i : BLOCK * (i + 1)]))
            parent = name

    def parents(self):
        return {name: parent for name, (parent, _) in self.blocks.items()}

    def prompts(self):
        """The tokens up to each block's end."""
        read = {}

        def tokens(name):
            if name not in read:
                parent, own = self.blocks[name]
                read[name] = (tokens(parent) if parent is not None else ()) + own
            return read[name]

        return {tokens(name) for name in self.blocks}


class Reader:
    """A SUB socket, and a REQ's peer for what it missed."""

    def __init__(self, server, topic=b"", encoding="map"):
        self.decode = DECODERS[encoding].decode
        self.context = zmq.Context()
        found = address_of(server)
        self.replay_address = found[2]
        self.socket = self.context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.SUBSCRIBE, topic)
        self.socket.connect(found[1])
        self.topic = None
        self.next = 0
        self.fold = Fold()

    def close(self):
        self.context.destroy(linger=0)

    def receive(self, milliseconds=PATIENCE_MS):
        """The next (number, payload) of the stream; None: none came."""
        if not self.socket.poll(milliseconds):
            return None
        self.topic, number, payload = self.socket.recv_multipart()
        assert len(number) == 8
        return int.from_bytes(number, "big"), payload

    def replay(self, start):
        """[(number, payload)] from `start` on."""
        dealer = self.context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        dealer.connect(self.replay_address)
        dealer.send_multipart([b"", start.to_bytes(8, "big")])
        answers = []
        with contextlib.closing(dealer):
            while True:
                empty, topic, number, payload = dealer.recv_multipart()
                assert empty == b""
                if number == END:
                    assert (topic, payload) == (b"", b"")
                    return answers
                assert topic.startswith(b"kv@")
                answers.append((int.from_bytes(number, "big"), payload))

    def take(self, number, payload):
        """Folds a batch in; one that was missed is asked for."""
        if number > self.next:
            for missed, again in self.replay(self.next):
                if missed >= self.next:
                    assert missed == self.next
                    self.fold.apply(self.decode(again))
                    self.next += 1
        if number == self.next:
            self.fold.apply(self.decode(payload))
            self.next += 1

    def settle(self, wanted):
        """Reads until it knows the blocks {name: parent} and no others."""
        until = time.monotonic() + PATIENCE_MS / 1000
        while self.fold.parents() != wanted:
            assert time.monotonic() < until, (self.fold.parents(), wanted)
            came = self.receive(1000)
            # Subscriptions arrive when they do: what passed before is asked for.
            for number, payload in [came] if came else self.replay(self.next):
                self.take(number, payload)


def address_of(server):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for line in server.log:
            found = re.search(r"blocks are told at (tcp://\S+?)(?: and again at (tcp://\S+))?, as (\S+)", line)
            if found:
                return found
        time.sleep(0.02)
    raise AssertionError(server.log)


def told_over_http(server):
    """{name: parent} of the blocks in memory, as the snapshot of GET /cache/events has them."""
    blocks = {}
    with contextlib.closing(server.connect()) as raw:
        raw.sendall(b"GET /cache/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        lines = raw.makefile("r", encoding="utf-8", errors="replace")
        for line in lines:
            found = re.search(r'data: (\{"place":"memory".*\})', line)
            if not found:
                continue
            event = json.loads(found.group(1))
            for run in event["stored"]:
                parent = run["parent"]
                for name in run["blocks"]:
                    blocks[int(name, 16)] = int(parent, 16) if parent else None
                    parent = name
            if event["snapshot"] in ("whole", "end"):
                return blocks


def complete(server, prompt, **options):
    return server.post("/v1/completions", {"prompt": prompt, "max_tokens": 4, "temperature": 0, **options})


@pytest.fixture
def telling(start):
    """telling(*options) -> (server, its reader); without `encoding` what is the default is read"""
    readers = []

    def begin(*options, topic=b"", encoding=None):
        told = ["--kv-events", "tcp://127.0.0.1:0", "--kv-events-replay", "tcp://127.0.0.1:0"]
        if encoding:
            told += ["--kv-events-encoding", encoding]
        server = start(*told, *options)
        readers.append(Reader(server, topic, encoding or "map"))
        return server, readers[-1]

    yield begin
    for reader in readers:
        reader.close()


def expect_same(server, reader):
    server.wait_idle()
    reader.settle(told_over_http(server))


@pytest.mark.parametrize("encoding", [None, "map", "array"])
def test_a_reader_of_vllms_events_knows_each_block_and_its_tokens(telling, document, encoding):
    server, reader = telling(encoding=encoding)
    first = server.tokens(document("first", 300))
    second = first[: BLOCK * 3] + server.tokens(document("second", 200))
    for prompt in (first, second):
        complete(server, prompt)
    expect_same(server, reader)
    known = reader.fold.prompts()
    for prompt in (first, second):
        for end in range(BLOCK, len(prompt) + 1, BLOCK):
            assert tuple(prompt[:end]) in known
    # The blocks that they have in common are told once.
    assert len(known) == len(reader.fold.blocks)


@pytest.mark.parametrize("encoding", ["map", "array"])
def test_what_is_evicted_is_told_in_order(telling, document, encoding):
    server, reader = telling("--kv-memory", "24M", encoding=encoding)
    blocks = server.get("/cache")["blocks"]["total"]
    for i in range(6):
        complete(server, server.tokens(document(f"evicted {i}", BLOCK * blocks // 4)))
    assert server.metric("cache_evicted_blocks_total") > 0
    expect_same(server, reader)
    removed = [
        event
        for _, payload in reader.replay(0)
        for event in reader.decode(payload).events
        if isinstance(event, BlockRemoved)
    ]
    assert removed


@pytest.mark.parametrize("encoding", ["map", "array"])
def test_clearing_the_cache_clears_what_readers_know(telling, document, encoding):
    server, reader = telling(encoding=encoding)
    complete(server, document("cleared"))
    expect_same(server, reader)
    assert reader.fold.blocks
    server.flush()
    reader.settle({})
    assert reader.fold.cleared == 1
    complete(server, document("after it"))
    expect_same(server, reader)


def test_a_reader_that_missed_some_is_told_them_again(telling, document):
    server, reader = telling()
    for i in range(3):
        complete(server, document(f"missed {i}"))
    server.wait_idle()
    everything = reader.replay(0)
    assert [number for number, _ in everything] == list(range(len(everything)))
    assert reader.replay(2) == everything[2:]
    assert reader.replay(len(everything)) == []
    # The stream goes on where the replay ended.
    for number, payload in everything:
        reader.take(number, payload)
    complete(server, document("and one more"))
    expect_same(server, reader)


def test_the_request_socket_of_vllms_example_is_answered(telling, document):
    server, reader = telling()
    complete(server, document("asked by REQ"))
    server.wait_idle()
    everything = reader.replay(0)
    asking = reader.context.socket(zmq.REQ)
    asking.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
    asking.connect(reader.replay_address)
    asking.send((0).to_bytes(8, "big"))  # REQ adds the empty frame
    assert asking.recv_multipart()[1:] == [(0).to_bytes(8, "big"), everything[0][1]]


def test_the_topic_names_the_replica_and_readers_may_filter_by_it(telling, document):
    server, reader = telling("--model-name", "small", topic=b"kv@")
    topic = address_of(server)[3]
    assert re.fullmatch(r"kv@[^@]+@small", topic)
    while reader.receive(200) is None:  # until the subscription has arrived
        complete(server, document(f"topic {time.monotonic()}", 60))
    assert reader.topic == topic.encode()


def test_a_topic_may_be_given(telling):
    server, _ = telling("--kv-events-topic", "kv@pod-7@a/model")
    assert address_of(server)[3] == "kv@pod-7@a/model"


def test_noise_at_the_ports_harms_nobody(telling, document):
    server, reader = telling()
    ports = [int(address.rpartition(":")[2]) for address in address_of(server).groups()[:2]]
    for port in ports:
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f", bytes(range(256)) * 64):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
                with contextlib.suppress(OSError):
                    raw.sendall(noise)
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(4096):
                        pass
    long = reader.context.socket(zmq.DEALER)
    long.connect(reader.replay_address)
    long.send_multipart([b"", bytes(100_000)])
    complete(server, document("noise"))
    expect_same(server, reader)


def test_where_nothing_can_listen_the_server_says_so(telling, start):
    server, _ = telling()
    taken = address_of(server)[1]
    with pytest.raises(RuntimeError, match=f"cannot listen at {taken}: Address already in use"):
        start("--kv-events", taken)
    with pytest.raises(RuntimeError, match="tcp://HOST:PORT is meant"):
        start("--kv-events", "127.0.0.1:5557")
    with pytest.raises(RuntimeError, match="--kv-events-replay"):
        start("--kv-events-replay", "tcp://127.0.0.1:0")
    with pytest.raises(RuntimeError, match="--kv-events-encoding"):
        start("--kv-events", "tcp://127.0.0.1:0", "--kv-events-encoding", "json")


def test_the_guide_names_gauges_and_options_that_there_are(server):
    guide = (ROOT / "docs/gateway.md").read_text()
    gauges = set(re.findall(r"\breprise_(\w+)", guide))
    assert {"requests_waiting", "requests_running", "cache_held_ratio"} <= gauges
    values = {name: server.metric(name) for name in gauges}
    assert values["cache_block_tokens"] == BLOCK
    assert 0 <= values["cache_held_ratio"] <= 1
    help_text = subprocess.check_output([BINARY, "serve", "--help"], text=True)
    options = set(re.findall(r"(?<![\w-])--(?:kv-events(?!-config)[\w-]*|block-tokens|api-keys|model-name|disk|shared)", guide))
    assert len(options) > 4
    for option in options:
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", help_text), option
