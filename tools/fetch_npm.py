#!/usr/bin/env python3
"""Fetches files of npm packages, without Node.

usage: fetch_npm.py NAME FOLDER

  uplot      uPlot 1.6.32 (MIT): draws the charts of the page that the server shows to browsers
  axe-core   axe-core 4.14.1 (MPL-2.0): looks for what bars people from using that page; tests only

Packages are pinned by the SHA-512 that the registry publishes for them. The registry is npm's own, or
the one that npm_config_registry or ~/.npmrc names. FOLDER gets the files and nothing else, and is left as
it is if it has them.
"""
import base64
import hashlib
import io
import os
import pathlib
import re
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request

# name: (version, SHA-512 in base64, {file in the package: its name in FOLDER})
PACKAGES = {
    "uplot": (
        "1.6.32",
        "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {"dist/uPlot.esm.js": "uplot.js", "dist/uPlot.min.css": "uplot.css"},
    ),
    "axe-core": (
        "4.14.1",
        "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        {"axe.min.js": "axe.min.js"},
    ),
}


def registry():
    configured = os.environ.get("npm_config_registry") or os.environ.get("NPM_CONFIG_REGISTRY")
    settings = pathlib.Path.home() / ".npmrc"
    if not configured and settings.exists():
        found = re.search(r"^registry\s*=\s*(\S+)", settings.read_text(), re.MULTILINE)
        configured = found and found.group(1)
    return (configured or "https://registry.npmjs.org").rstrip("/")


def fetch(name, folder):
    version, sha512, files = PACKAGES[name]
    # A folder is made whole or not at all, so its files are the pinned ones.
    if all((folder / kept).exists() for kept in files.values()):
        return
    with urllib.request.urlopen(f"{registry()}/{name}/-/{name}-{version}.tgz", timeout=60) as reply:
        package = reply.read()
    if base64.b64encode(hashlib.sha512(package).digest()).decode() != sha512:
        sys.exit(f"fetch_npm.py: {name} {version} is not the package that was pinned")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        made = pathlib.Path(work, "files")
        made.mkdir()
        with tarfile.open(fileobj=io.BytesIO(package)) as archive:
            for member, kept in files.items():
                (made / kept).write_bytes(archive.extractfile(f"package/{member}").read())
        try:
            os.rename(made, folder)
        except OSError:  # another build has made it meanwhile
            if not folder.exists():
                raise


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PACKAGES:
        sys.exit(__doc__)
    try:
        fetch(sys.argv[1], pathlib.Path(sys.argv[2]))
    except (urllib.error.URLError, TimeoutError) as error:
        sys.exit(f"fetch_npm.py: {sys.argv[1]} could not be fetched: {error}")
