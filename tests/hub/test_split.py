"""Models in several files, cut by the writer of the `gguf` package: read as one, by path and by name."""

import os
import pathlib
import re
import shutil
import subprocess
import urllib.request

import gguf
import numpy as np
import pytest

from played_hub import Repo

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = pathlib.Path(os.environ.get("REPRISE_MODEL", ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"))
DUMP_LOGITS = pathlib.Path(os.environ.get("REPRISE_DUMP_LOGITS", ROOT / "build/release/tests/model/dump_logits"))


def split(model, path, tensors):
    """Writes `model` anew, `tensors` in each file: PATH's stem with -00001-of-0000N.gguf and so on."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=tensors)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.glob(f"{path.stem}-*-of-*.gguf"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    if not MODEL.exists():
        pytest.skip(f"{MODEL} is absent: ./run fetches it, or set REPRISE_MODEL")
    made = split(MODEL, tmp_path_factory.mktemp("split") / "Q4_1.gguf", 100)
    assert [part.name for part in made] == [f"Q4_1-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    return made


def logits(model, output):
    subprocess.run([DUMP_LOGITS, model, "fast", "auto", "0", output], input="1 2 3 4 5 6 7 8", check=True,
                   capture_output=True, text=True)
    return np.fromfile(output, np.float32)


def test_the_logits_are_those_of_the_single_file(parts, tmp_path):
    expected = logits(MODEL, tmp_path / "one")
    assert len(expected) > 0 and np.isfinite(expected).all()
    assert np.array_equal(logits(parts[0], tmp_path / "three"), expected)
    assert np.array_equal(logits(parts[2], tmp_path / "three"), expected)


def test_inspect_tells_of_all_parts(machine, parts):
    def told(path):
        out = machine.run("inspect", "--model", path, "--context", "100").stdout.split("\n\n")[-1]
        return dict(re.split("  +", line, maxsplit=1) for line in out.splitlines())

    whole, split_up = told(MODEL), told(parts[0])
    assert split_up["weights"] == whole["weights"].replace("one file", "3 files")
    assert {key: value for key, value in split_up.items() if key != "weights"} == {
        key: value for key, value in whole.items() if key != "weights"}
    # SmolLM2-135M: https://huggingface.co/HuggingFaceTB/SmolLM2-135M/blob/main/config.json
    assert whole["family"] == "llama" and whole["parameters"] == "134515008"
    elements = {tensor.name: tensor for tensor in gguf.GGUFReader(MODEL).tensors}
    assert int(whole["parameters"]) == sum(int(tensor.n_elements) for tensor in elements.values())
    # 30 layers, 3 heads of K and V with 64 dimensions: K a byte each and a scale, V two bytes each.
    assert whole["K and V"].startswith(f"{30 * 3 * (64 + 4 + 128)} bytes a token")
    assert whole["memory"].endswith("fits")


def test_a_model_too_large_for_the_machine_is_said_not_to_fit(machine, tmp_path):
    """A sparse file: 2 TB of weights that lie nowhere."""
    path = tmp_path / "large.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(512)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    rows = 2 * 10**12 // 4 // 256
    writer.add_tensor_info("token_embd.weight", (rows, 256), np.dtype(np.float32), rows * 256 * 4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size + rows * 256 * 4 + 64)
    out = machine.run("inspect", "--model", path).stdout
    assert "does not fit, whatever the context" in out
    assert re.search(r"weights +2000 GB in one file: 1 F32 \(2000 GB\); 1000 GB in memory", out)


def test_missing_and_mixed_parts_are_named(machine, parts, tmp_path):
    for part in parts:
        shutil.copy(part, tmp_path)
    second = tmp_path / parts[1].name
    second.unlink()
    error = machine.refused("tokenize", "--model", tmp_path / parts[0].name)
    assert f"{second} is not there" in error
    shutil.copy(parts[2], second)
    error = machine.refused("tokenize", "--model", tmp_path / parts[0].name)
    assert f"{second} belongs to another model" in error


def test_a_split_model_is_served_by_its_name(machine, hub, parts):
    hub.repos["org/split-GGUF"] = Repo({part.name: part.read_bytes() for part in parts})
    process = machine.start("serve", "--model", "hf:org/split-GGUF", "--port", "0", "--kv-memory", "64M")
    try:
        address = next(line.split()[-1] for line in process.stdout if line.startswith("listening on"))
        with urllib.request.urlopen(f"{address}/v1/models") as reply:
            assert b'"id":"Q4_1"' in reply.read()
    finally:
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0 and "fetching Q4_1-00001-of-00003.gguf and 2 more, 98 MB" in log
    assert len(hub.asked_of("store", "GET")) == 3


def test_the_parts_all_belong_to_what_k_and_v_are_kept_for(machine, parts, tmp_path):
    """A cache on disk holds what a model with another third part must not read."""
    for part in parts:
        shutil.copy(part, tmp_path)
    first = tmp_path / parts[0].name
    assert served(machine, first, tmp_path / "disk") == 0
    assert served(machine, first, tmp_path / "disk") > 0
    third = tmp_path / parts[2].name
    content = bytearray(third.read_bytes())
    content[-100] ^= 1  # of the last tensor's weights
    third.write_bytes(content)
    assert served(machine, first, tmp_path / "disk") == 0


def served(machine, model, disk):
    """Tokens of one prompt that a server of its own reads from the cache on disk."""
    process = machine.start("serve", "--model", model, "--port", "0", "--kv-memory", "64M", "--disk", disk,
                            "--disk-size", "100M", stderr=subprocess.DEVNULL)
    try:
        address = next(line.split()[-1] for line in process.stdout if line.startswith("listening on"))
        body = b'{"prompt": "' + b"Many words that are read once. " * 40 + b'", "max_tokens": 1}'
        request = urllib.request.Request(f"{address}/v1/completions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            return int(re.search(rb'"cached_tokens":(\d+)', reply.read()).group(1))
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize("kind,said", [("adapter", "an adapter (LoRA)"), ("mmproj", "sees or hears (mmproj)")])
def test_files_that_belong_to_models_are_refused_by_what_they_are(machine, tmp_path, kind, said):
    path = tmp_path / "part.gguf"
    writer = gguf.GGUFWriter(path, "clip" if kind == "mmproj" else "llama")
    writer.add_type(kind)
    writer.add_tensor("v.patch_embd.weight", np.zeros((2, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for command in ("serve", "tokenize"):
        error = machine.refused(command, "--model", path)
        assert str(path) in error and said in error
    assert re.search(rf"served +no: .*{re.escape(said)}", machine.run("inspect", "--model", path).stdout)
