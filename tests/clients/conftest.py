"""Programs that people use, against the running server of tests/api: what they decide from its replies."""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("server_fixtures", ROOT / "tests/api/conftest.py")
server_fixtures = importlib.util.module_from_spec(_SPEC)
sys.modules["server_fixtures"] = server_fixtures
_SPEC.loader.exec_module(server_fixtures)

built = server_fixtures.built
server = server_fixtures.server


@pytest.fixture(scope="session")
def node_module():
    """node_module(package, version) -> where npm has put it."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")

    def install(package, version):
        folder = ROOT / "build/clients" / f"{package.replace('/', '+')}-{version}"
        place = folder / "node_modules" / package
        if not place.exists():
            command = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--silent"]
            subprocess.run([*command, f"{package}@{version}"], check=True, stdin=subprocess.DEVNULL)
        return place

    return install
