"""The built program before a played hub. REPRISE_BIN names it (default build/release/src/app/reprise)."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from played_hub import PlayedHub

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("REPRISE_BIN", ROOT / "build/release/src/app/reprise"))


class Machine:
    """A home folder of its own, in which `reprise` and the hub's own client run."""

    def __init__(self, home, hub):
        self.home = home
        self.hub = hub
        self.cache = home / ".cache/huggingface/hub"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def start(self, *arguments, limit_bytes=None, environment=None, **options):
        def limit():
            # Python ignores SIGXFSZ; the program has to see to that itself.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            if limit_bytes:
                import resource
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        return subprocess.Popen([BINARY, *map(str, arguments)], env=self.environment | (environment or {}), text=True,
                                stdout=subprocess.PIPE, stderr=options.pop("stderr", subprocess.PIPE),
                                preexec_fn=limit, **options)

    def run(self, *arguments, **options):
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def pull(self, model, **options):
        """The path of the file; a failure fails the test."""
        done = self.run("pull", model, **options)
        assert done.returncode == 0, done.stderr
        return pathlib.Path(done.stdout.strip())

    def refused(self, *arguments, code=2, **options):
        """The one sentence on standard error."""
        done = self.run(*arguments, **options)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stdout == ""
        return [line for line in done.stderr.splitlines() if line.startswith("reprise: ")][0]

    def witness(self, code, **environment):
        """What the hub's own client prints in a process of its own."""
        done = subprocess.run([sys.executable, "-c", "from huggingface_hub import *\n" + code], text=True,
                              env=self.environment | environment, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def incomplete(self):
        return list(self.cache.glob("models--*/blobs/*.incomplete"))


@pytest.fixture
def hub():
    played = PlayedHub()
    yield played
    played.stop()


@pytest.fixture
def machine(tmp_path, hub):
    if not BINARY.exists():
        pytest.skip(f"{BINARY} has not been built")
    return Machine(tmp_path, hub)
