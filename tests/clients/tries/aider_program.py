"""aider: a file is changed as the (scripted) reply says, whole and streamed."""

import os
import pathlib
import subprocess
import sys
import tempfile

from common import *

REPLY = "The name is misspelt.\n\ngreet.py\n```\ndef greet(name):\n    return name\n```\n"


def mends_a_file(*options):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "greet.py")
        file.write_text("def greet(name):\n    return nam\n")
        script(REPLY)
        command = [pathlib.Path(sys.executable).with_name("aider"), "--model", "openai/m", "--edit-format", "whole"]
        command += ["--yes-always", "--no-git", "--no-check-update", "--no-show-model-warnings", "--analytics-disable"]
        command += ["--no-gitignore", "--map-tokens", "0", *options, "--message", "Mend it.", "greet.py"]
        surroundings = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "TERM": "dumb",
            "OPENAI_API_BASE": URL + "/v1",
            "OPENAI_API_KEY": "none",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        ended = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=200)
        assert file.read_text() == "def greet(name):\n    return name\n", ended.stdout[-1000:] + ended.stderr[-1000:]
        return ended.stdout


def chat():
    mends_a_file("--no-stream")


def stream():
    mends_a_file("--stream")


run(globals())
