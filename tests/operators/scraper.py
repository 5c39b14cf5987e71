"""Debian's Prometheus over one server and its router, with the configuration and the rules of deploy/prometheus."""

import json
import pathlib
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus/reprise.rules.yml"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def configuration(port, router_port, key_file, seconds):
    """The example, with what it tells a reader to adapt adapted: targets, key, and how often."""
    text = (DEPLOY / "prometheus/prometheus.yml").read_text()
    text = re.sub(r"(scrape|evaluation)_interval: \w+", rf"\1_interval: {seconds}s", text)
    text = text.replace("reprise.rules.yml", str(RULES)).replace("localhost:8080", f"127.0.0.1:{port}")
    text = text.replace("localhost:8090", f"127.0.0.1:{router_port}")
    text = re.sub(r"^    # (authorization|  type|  credentials_file)", r"    \1", text, flags=re.MULTILINE)
    return re.sub(r"credentials_file: \S+", f"credentials_file: {key_file}", text)


class Prometheus:
    """Scrapes once a second. Its storage is in the folder; it listens on loopback alone."""

    def __init__(self, folder, server_port, router_port, key):
        key_file = folder / "key"
        key_file.write_text(key)
        config = folder / "prometheus.yml"
        config.write_text(configuration(server_port, router_port, key_file, 1))
        self.address = f"http://127.0.0.1:{free_port()}"
        self.log = (folder / "prometheus.log").open("w")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address={self.address.removeprefix('http://')}"],
            stdout=self.log, stderr=subprocess.STDOUT,
        )  # yapf: disable
        self.wait_for("count(up == 1) == 2")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()

    def get(self, path, **parameters):
        with urllib.request.urlopen(f"{self.address}{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as reply:
            return json.loads(reply.read())["data"]

    def query(self, expression):
        """What it is now: [(labels, value)]; an expression that is wrong fails the test."""
        try:
            data = self.get("/api/v1/query", query=expression)
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{expression}: {json.loads(refusal.read())['error']}") from refusal
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def wait_for(self, expression, seconds=30):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if self.query(expression):
                    return
            except OSError:
                assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {expression}")
