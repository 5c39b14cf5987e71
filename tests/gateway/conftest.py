"""Routers of others, before servers of ours: `indexer` is NVIDIA Dynamo's, built by `./test gateway`."""

import contextlib
import http.client
import json
import pathlib
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(pathlib.Path(__file__).resolve().parent)]

from api.conftest import built, document, start, wait_until  # noqa: E402,F401

INDEXER = ROOT / "build/gateway/release/dynamo_indexer"


class Indexer:
    """Dynamo's: it subscribes to servers, and says which of them hold how much of a prompt."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with open(folder / "indexer.log", "w") as log:
            self.process = subprocess.Popen([INDEXER, str(self.port)], stdout=log, stderr=log)
        wait_until(self._listens, "the indexer listens")

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _post(self, path, body):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            assert response.status < 300, text
            return json.loads(text)

    def register(self, number, address, replay):
        self._post("/register", {"instance_id": number, "model_name": "m", "block_size": 32, "endpoint": address,
                                 "replay_endpoint": replay})

    def held(self, tokens):
        """{server's number: leading tokens of these that it holds}"""
        found = self._post("/query", {"token_ids": tokens, "model_name": "m"})["instances"]
        return {int(number): each["longest_matched"] for number, each in found.items() if each["longest_matched"]}

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def indexer(tmp_path):
    running = Indexer(tmp_path)
    yield running
    running.stop()
