"""Drives the program text_tool (text_tool.cc), and reads a vocabulary without this project's code."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = os.environ.get("REPRISE_MODEL", ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf")
PROGRAM = os.environ.get("REPRISE_TEXT_TOOL", ROOT / "build/release/tests/text/text_tool")


class ToolError(Exception):
    """What the program answered with "error"; .code is the number of the ErrorCode."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class TextTool:
    def __init__(self):
        if not os.path.exists(PROGRAM):
            pytest.fail(f"{PROGRAM} is not built; build the target text_tool or set REPRISE_TEXT_TOOL")
        self.process = subprocess.Popen(
            [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, op, **arguments):
        self.process.stdin.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise ToolError(answer["error"], answer["code"])
        return answer["result"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def vocabulary_request(model, tokens, types, pre="", merges=(), scores=(), **ids):
    return dict(
        model=model, pre=pre, tokens=list(tokens), types=list(types), merges=list(merges),
        scores=list(scores), **ids,
    )


def model_metadata():
    """Metadata of the default model, through the gguf package; skips where there is no model."""
    if not os.path.exists(MODEL):
        pytest.skip(f"{MODEL} is not there; ./run fetches it, or set REPRISE_MODEL")
    from gguf import GGUFReader

    return {name: field.contents() for name, field in GGUFReader(MODEL).fields.items()
            if name.startswith("tokenizer.")}
